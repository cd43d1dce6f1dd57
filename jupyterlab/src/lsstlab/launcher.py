"""The start of a lab's program: JupyterHub's single-user server, or a command in the environment of a lab."""

from __future__ import annotations

import gc
import os
import sys
import threading

from lsstlab import logs, settings_fallback
from lsstlab.clean_settings import clean_settings, wants_clean_settings
from lsstlab.errors import LabError
from lsstlab.home_check import BackgroundCheck
from lsstlab.home_setup import choose_home, home_folder, initialize_home
from lsstlab.hub_limits import LabLimits
from lsstlab.lab_environment import prepare_environment
from lsstlab.settings_notices import SETTINGS_NOTICES

# The command with which a hub starts the single-user server of a lab
SINGLE_USER_SERVER = "jupyterhub-singleuser"
# Seconds after which garbage collection resumes, even if a user's configuration has disabled lsstlab.extension
COLLECTION_PAUSE_SECONDS = 60


class CommandError(LabError):
    """A command that cannot be run. The message contains the command and the operating system's error message."""


def run_command(command: list[str]) -> None:
    """Set up the environment of a lab, and replace this process by the command (`exec`).

    Raises
    ------
    CommandError
        Raised if the command does not exist or cannot be run.
    EnvironmentFolderError
        Raised if the scratch folder cannot be used.
    """
    prepare_environment()
    initialize_home(home_folder())
    try:
        os.execvp(command[0], command)  # noqa: S606  (no shell)
    except OSError as error:
        raise CommandError(f"{command[0]}: {error.strerror}") from error


def run_single_user_server(options: list[str]) -> None:
    """Run JupyterHub's single-user server in a lab that a hub has spawned.

    Parameters
    ----------
    options
        The command-line options that the hub passes to the single-user server.

    Raises
    ------
    EnvironmentFolderError
        Raised if the scratch folder cannot be used.
    LimitError
        Raised if a limit that the hub set is wrong.
    CleanSettingsError
        Raised if LAB_CLEAN_SETTINGS is wrong.
    """
    # Import the patches here. An import at the top would also delay `lab COMMAND`, which needs no patches.
    from lsstlab._patches.jupyter_server import use_formatter_from_first_line
    from lsstlab._patches.jupyterhub import load_single_user_server

    prepare_environment()
    LabLimits.from_environment(os.environ)
    clean = wants_clean_settings(os.environ)
    home_check = BackgroundCheck(home_folder())  # runs while this function imports modules that do not read the home
    pause_garbage_collection()
    server = load_single_user_server()
    if logs.wants_json(os.environ):
        use_formatter_from_first_line(logs.LabFormatter)
    # Wait for the result of the check before the next imports: these modules read the user's settings in the home, and
    # would hang if the home does not answer.
    problem = home_check.wait()
    SETTINGS_NOTICES.start()
    if clean and (problem is None or problem.full):
        clean_settings(home_folder())
    choose_home(problem)
    sys.argv = [SINGLE_USER_SERVER, *options]
    settings_fallback.launch(server)


def pause_garbage_collection() -> None:
    """Pause garbage collection. `lsstlab.extension`, which Jupyter Server loads last, resumes it.

    Otherwise the collector would run hundreds of times while Python imports a thousand modules, and would free almost
    no memory. These runs would take 13 % of the time until the server answers.
    """
    gc.disable()
    timer = threading.Timer(COLLECTION_PAUSE_SECONDS, gc.enable)
    timer.daemon = True
    timer.start()
