"""When the hub stops a lab: not while it works, but not for ever either."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from labtesting.cluster import NAMESPACE, kubectl
from labtesting.hub_process import wait_until

from hub.tests.cluster.deployment import Deployment

pytestmark = pytest.mark.timeout(400)
IDLE, AGE = 40, 110


@pytest.fixture
def impatient(deployment: Deployment) -> Iterator[Deployment]:
    """Give a hub that stops labs after a moment, as its ConfigMap says."""

    def tell(**settings: str | None) -> None:
        patch = json.dumps({"data": settings})
        kubectl("patch", "configmap", "hub", "--namespace", NAMESPACE, "--type=merge", "--patch", patch)
        deployment.restart_hub()

    tell(LAB_IDLE_SECONDS=str(IDLE), LAB_MAX_AGE_SECONDS=str(AGE), LAB_WARNING_SECONDS="10")
    yield deployment
    tell(LAB_IDLE_SECONDS=None, LAB_MAX_AGE_SECONDS=None, LAB_WARNING_SECONDS=None)


def test_an_idle_lab_is_stopped_and_a_busy_one_only_when_it_is_too_old(impatient: Deployment) -> None:
    idle, _ = impatient.member("tess")
    idle.spawn("tess", image="recommended", size="small")
    busy, _ = impatient.member("uwe")
    begun = time.monotonic()  # the hub counts from the click
    busy.spawn("uwe", image="recommended", size="small")
    with impatient.client(busy, "uwe").kernel("python3", shut_down=False) as kernel:
        # Says nothing for ten minutes: no message passes, only the kernel's state tells.
        kernel.send("execute_request", {"code": "import time; time.sleep(600)", "silent": False})
        wait_until(lambda: not impatient.server("tess"), "the idle lab is stopped", 2 * IDLE)
        assert impatient.server("uwe")["ready"]
        assert "because nothing had happened in it for 40 seconds" in idle.get("/hub/spawn").text
        wait_until(lambda: not impatient.server("uwe"), "the busy lab is stopped", AGE + 30)
    assert time.monotonic() - begun >= AGE
    assert "because it had run for 110 seconds, the greatest age here" in busy.get("/hub/spawn").text
