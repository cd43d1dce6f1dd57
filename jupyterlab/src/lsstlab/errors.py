"""The base class of errors because of which a lab does not start."""

from __future__ import annotations


class LabError(Exception):
    """An error because of which a lab does not start. The message is one line with the reason and the next action."""
