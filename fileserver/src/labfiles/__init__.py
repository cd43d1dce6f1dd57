"""What runs beside the NFS server: it makes homes and project folders, and says how full the storage is."""
