"""Read by JupyterHub; the settings come from the environment."""

import os

from labhub.environment import load_or_exit
from labhub.hub import configure, configure_labs
from labhub.labsettings import LabSettings
from labhub.settings import Settings

c = get_config()  # type: ignore[name-defined]  # noqa: F821  (traitlets gives it)
configure(c, load_or_exit(os.environ, Settings))
configure_labs(c, load_or_exit(os.environ, LabSettings))
