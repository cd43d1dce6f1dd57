"""Read by JupyterHub; the settings come from the environment."""

import os

from lsstlab.hub import configure
from lsstlab.settings import load

configure(get_config(), load(os.environ))  # type: ignore[name-defined]  # noqa: F821  (traitlets gives it)
