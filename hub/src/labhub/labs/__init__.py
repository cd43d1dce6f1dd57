"""One user's lab: its pod, how the pod starts and stops, and what Kubernetes reports about it."""
