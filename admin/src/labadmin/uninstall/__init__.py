"""The command `labadmin uninstall`, which removes a site from the cluster and keeps its data."""
