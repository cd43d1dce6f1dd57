"""Data types and rules without input or output: they need no network, file, JupyterHub or Kubernetes."""
