"""Read by JupyterHub; the settings come from the environment."""

import os

from labhub.hub import configure
from labhub.settings import load_or_exit

configure(get_config(), load_or_exit(os.environ))  # type: ignore[name-defined]  # noqa: F821  (traitlets gives it)
