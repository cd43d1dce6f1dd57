"""Pages and API calls that the hub adds to JupyterHub, and the page templates."""
