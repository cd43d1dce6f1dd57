"""Log lines, audit events and metrics."""
