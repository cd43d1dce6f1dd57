"""The command `lab`.

    lab                Start a standalone lab: a JupyterHub with a local login.
    lab COMMAND ...    Run a command in a lab's environment.

In a lab that a hub has spawned (JUPYTERHUB_API_TOKEN is set), `lab [OPTION ...]` and
`lab jupyterhub-singleuser [OPTION ...]` start the single-user server of that hub.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from lsstlab import launcher
from lsstlab.errors import LabError


def main() -> None:
    """Run a command, a standalone lab or a hub's single-user server, as the command line and the environment select.

    If a `LabError` is raised, print one line and exit.
    """
    # Add the folder of this Python's programs at the start of the PATH, so that `jupyterhub-singleuser` and other
    # commands are found there first.
    os.environ["PATH"] = f"{Path(sys.prefix) / 'bin'}:{os.environ.get('PATH', os.defpath)}"
    command = sys.argv[1:]
    spawned = bool(os.environ.get("JUPYTERHUB_API_TOKEN"))
    try:
        if spawned and (not command or command[0].startswith("-")):
            launcher.run_single_user_server(command)
        elif spawned and command[0] == launcher.SINGLE_USER_SERVER:
            launcher.run_single_user_server(command[1:])
        elif command in (["-h"], ["--help"]):
            sys.stdout.write(f"{__doc__}\njupyterlab/README.md describes the environment variables.\n")
        elif command:
            launcher.run_command(command)
        else:
            # Import the module here. An import at the top would delay the start of a spawned lab, which does not need
            # it.
            from lsstlab import standalone

            sys.exit(standalone.run())
    except LabError as error:
        sys.exit(f"lab: {error}")


if __name__ == "__main__":
    main()
