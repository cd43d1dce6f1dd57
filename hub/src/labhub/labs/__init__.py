"""The labs: the spawner, the pods, and their status in Kubernetes."""
