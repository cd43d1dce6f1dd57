"""Read by JupyterHub in `nox -s demo -- --github`: proxy and labs of the demo, the login of the shared hub."""

import os

import labhub.settings.environment
import labhub.configuration
import labhub.settings.login
import lsstlab.hub
import lsstlab.settings

c = get_config()  # type: ignore[name-defined]  # noqa: F821  (traitlets gives it)
place = lsstlab.settings.load(os.environ)
lsstlab.hub.configure_hub(c, place)
lsstlab.hub.configure_labs(c, place)
c.JupyterHub.log_level = "INFO"  # the demo's log is a file: who came in is worth a line there
labhub.configuration.configure(c, labhub.settings.environment.load_or_exit(os.environ, labhub.settings.login.Settings))
