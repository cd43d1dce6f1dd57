"""Starts a JupyterLab with the LSST stack, standalone or for a hub."""
