"""Settings of Hypothesis for the tests of all components."""

from __future__ import annotations

from contextlib import suppress

with suppress(ImportError):  # not all components use Hypothesis
    from hypothesis import HealthCheck, settings

    # On a busy machine, examples take longer than the limits of Hypothesis.
    settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("busy")
