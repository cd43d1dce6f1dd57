"""The checks. Each is a function that reads the state of the cluster and yields verdicts. It makes no request."""
