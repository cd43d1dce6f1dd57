"""JupyterHub's configuration file. The settings come from the environment."""

import os

from labhub.configuration import configure, configure_labs
from labhub.settings.environment import load_or_exit
from labhub.settings.labs import LabSettings
from labhub.settings.login import LoginSettings

c = get_config()  # type: ignore[name-defined]  # noqa: F821  (traitlets defines it)
configure(c, load_or_exit(os.environ, LoginSettings))
configure_labs(c, load_or_exit(os.environ, LabSettings))
