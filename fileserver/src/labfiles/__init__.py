"""The HTTP service beside the NFS server. It creates homes and project folders, and measures their disk usage."""
