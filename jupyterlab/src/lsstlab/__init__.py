"""Starts a JupyterLab with the LSST stack, alone or for a hub."""
