"""The checks. Each is a function from the state of the cluster to verdicts, without any request."""
