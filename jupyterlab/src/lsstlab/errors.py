"""The base of the errors that end the start of a lab with one line."""

from __future__ import annotations


class LabError(Exception):
    """The lab cannot start. The message says why and what to do."""
