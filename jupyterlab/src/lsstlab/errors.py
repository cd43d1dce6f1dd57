"""The base class of errors that stop the start of a lab."""

from __future__ import annotations


class LabError(Exception):
    """An error that stops the start of a lab. The message is one line with the reason and the next action."""
