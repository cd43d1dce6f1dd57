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
# Each user has a scratch folder. It contains the workspaces, and in a common folder users would share their layout.
c.Spawner.environment.update({"LAB_SCRATCH": lambda spawner: str(settings.state / "scratch" / spawner.user.name)})
c.JupyterHub.log_level = "INFO"  # log each login: the demo's log goes to a file, not to the terminal
labhub.configuration.configure(c, load_or_exit(os.environ, LoginSettings))
