"""The lab: JupyterLab with the LSST stack, standalone or spawned by a hub."""
