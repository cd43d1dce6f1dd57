"""The configuration file of a standalone lab's JupyterHub. Environment variables contain the settings."""

import os

from lsstlab.settings import load
from lsstlab.standalone_config import configure

configure(get_config(), load(os.environ))  # type: ignore[name-defined]  # noqa: F821  (traitlets defines it)
