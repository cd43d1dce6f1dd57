"""The labs: the spawner, the labs' pods, and the status of the pods in Kubernetes."""
