"""Read by JupyterHub in `nox -s demo -- --github`: proxy and labs of the demo, the login of the shared hub."""

import os

import labhub.environment
import labhub.hub
import labhub.settings
import lsstlab.settings
import lsstlab.standalone_config

c = get_config()  # type: ignore[name-defined]  # noqa: F821  (traitlets gives it)
place = lsstlab.settings.load(os.environ)
lsstlab.standalone_config.configure_hub(c, place)
lsstlab.standalone_config.configure_labs(c, place)
c.JupyterHub.log_level = "INFO"  # the demo's log is a file: who came in is worth a line there
labhub.hub.configure(c, labhub.environment.load_or_exit(os.environ, labhub.settings.Settings))
