"""The HTTP service beside the NFS server: it creates homes and project folders, and measures their disk usage."""
