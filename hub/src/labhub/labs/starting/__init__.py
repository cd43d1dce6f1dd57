"""The start of a lab: options, problems that delay or prevent a start, and the events on the progress page."""
