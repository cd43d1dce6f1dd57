"""JupyterHub's configuration for `nox -s demo -- --github`: proxy and labs of the demo, login of the shared hub."""

import os

import labhub.configuration
import lsstlab.settings
import lsstlab.standalone_config
from labhub.settings.environment import load_or_exit
from labhub.settings.login import LoginSettings

c = get_config()  # type: ignore[name-defined]  # noqa: F821  (traitlets defines it)
settings = lsstlab.settings.load(os.environ)
lsstlab.standalone_config.configure_hub(c, settings)
lsstlab.standalone_config.configure_labs(c, settings)
# A scratch folder for each user. It contains the workspaces of JupyterLab: with one folder, all users would share a
# window layout.
c.Spawner.environment.update({"LAB_SCRATCH": lambda spawner: str(settings.state / "scratch" / spawner.user.name)})
c.JupyterHub.log_level = "INFO"  # log each login: the demo's log goes to a file, not to the terminal
labhub.configuration.configure(c, load_or_exit(os.environ, LoginSettings))
