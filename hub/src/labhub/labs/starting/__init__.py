"""The start of a lab: its options, the problems that delay or prevent it, and the events on the progress page."""
