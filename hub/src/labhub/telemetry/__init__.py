"""The hub's log lines, audit events and metrics."""
