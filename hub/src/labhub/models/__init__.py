"""Data types and rules. They use no network and no files, and do not depend on JupyterHub or the Kubernetes API."""
