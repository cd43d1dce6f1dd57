"""The HTTP service beside the NFS server: creates homes and project folders, and measures the used storage."""
