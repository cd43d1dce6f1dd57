"""Read by JupyterHub; the settings come from the environment."""

import os

from labhub.settings.environment import load_or_exit
from labhub.configuration import configure, configure_labs
from labhub.settings.labs import LabSettings
from labhub.settings.login import Settings

c = get_config()  # type: ignore[name-defined]  # noqa: F821  (traitlets gives it)
configure(c, load_or_exit(os.environ, Settings))
configure_labs(c, load_or_exit(os.environ, LabSettings))
