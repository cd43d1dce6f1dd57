"""The hub: JupyterHub with GitHub logins, and one Kubernetes pod for each user's lab."""
