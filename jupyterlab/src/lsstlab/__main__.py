"""Start a lab: `lab` alone, or `lab COMMAND...`, a command in a lab's surroundings.

Without a command it is a JupyterHub with a local login; or, where a hub has spawned it (JUPYTERHUB_API_TOKEN is
set), the single-user server of that hub, with the options that the hub gives.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from lsstlab import session
from lsstlab.settings import SettingsError


def main() -> None:
    """Run what the command line and the environment ask for; a mistake ends it with one line."""
    # The environment's own programs come first: `jupyterhub-singleuser` is the one beside this one.
    os.environ["PATH"] = f"{Path(sys.prefix) / 'bin'}:{os.environ.get('PATH', os.defpath)}"
    command = sys.argv[1:]
    spawned = bool(os.environ.get("JUPYTERHUB_API_TOKEN"))
    try:
        if spawned and (not command or command[0].startswith("-")):
            session.run_server(command)
        elif spawned and command[0] == session.SERVER:
            session.run_server(command[1:])
        elif command in (["-h"], ["--help"]):
            sys.stdout.write(f"{__doc__}\nThe variables that it reads are in jupyterlab/README.md.\n")
        elif command:
            session.run(command)
        else:
            from lsstlab import alone  # traitlets and the hub's modules, which a spawned lab need not load

            sys.exit(alone.run())
    except (SettingsError, session.SessionError) as error:
        sys.exit(f"lab: {error}")


if __name__ == "__main__":
    main()
