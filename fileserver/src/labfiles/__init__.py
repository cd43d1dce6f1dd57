"""Runs beside the NFS server: creates homes and project folders, and measures how full the storage is."""
