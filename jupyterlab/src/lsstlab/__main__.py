"""Start a lab: `lab` standalone, or `lab COMMAND...`, a command in a lab's environment.

Without a command it is a JupyterHub with a local login; or, where a hub has spawned it (JUPYTERHUB_API_TOKEN is
set), the single-user server of that hub, with the options that the hub gives.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from lsstlab import launcher
from lsstlab.errors import LabError


def main() -> None:
    """Run what the command line and the environment ask for. An error ends the process with one line."""
    # The environment's own programs come first: `jupyterhub-singleuser` is the one beside this one.
    os.environ["PATH"] = f"{Path(sys.prefix) / 'bin'}:{os.environ.get('PATH', os.defpath)}"
    command = sys.argv[1:]
    spawned = bool(os.environ.get("JUPYTERHUB_API_TOKEN"))
    try:
        if spawned and (not command or command[0].startswith("-")):
            launcher.run_single_user_server(command)
        elif spawned and command[0] == launcher.SINGLE_USER_SERVER:
            launcher.run_single_user_server(command[1:])
        elif command in (["-h"], ["--help"]):
            sys.stdout.write(f"{__doc__}\nThe variables that it reads are in jupyterlab/README.md.\n")
        elif command:
            launcher.run_command(command)
        else:
            # Imported here: a spawned lab needs neither traitlets' configuration of a hub nor its settings.
            from lsstlab import standalone

            sys.exit(standalone.run())
    except LabError as error:
        sys.exit(f"lab: {error}")


if __name__ == "__main__":
    main()
