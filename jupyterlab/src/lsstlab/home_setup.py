"""The set-up of a lab's home: the first files of a new home, and an empty home instead of a broken home."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from lsstlab import logs
from lsstlab.home_check import HomeProblem
from lsstlab.lab_environment import create_private_folder

# Folders that kernels and extensions need, by the environment variable that names the folder. If a full home lacks a
# folder, the lab sets the variable to a folder outside the home.
NEEDED_FOLDERS = {
    "IPYTHONDIR": ".ipython/profile_default",
    "JUPYTER_CONFIG_DIR": ".jupyter",
    "JUPYTER_DATA_DIR": ".local/share/jupyter",
}
SKELETON = Path("/etc/skel")
USER_SETUPS = """\
# bash runs this file before each LSST_Stack kernel starts, after `setup lsst_distrib`. For example:
# setup -r ~/notebooks/my_package
"""


def home_folder() -> Path:
    """Return the home folder, which the environment variable HOME names."""
    return Path(os.environ.get("HOME") or "/")


def initialize_home(home: Path) -> None:
    """Copy the files of /etc/skel into an empty home. Create `~/notebooks` and an example file `.user_setups` in it.

    If the home is full or read-only, return without an error, because the lab must start.
    """
    try:
        if not any(home.iterdir()):
            for file in SKELETON.iterdir():
                (shutil.copytree if file.is_dir() else shutil.copy)(file, home / file.name)
        (home / "notebooks").mkdir()
        (home / "notebooks" / ".user_setups").write_text(USER_SETUPS)
    except OSError:
        return


def choose_home(problem: HomeProblem | None) -> None:
    """Choose the home of this lab, and create the first files in it.

    The lab uses the user's home if the home works or is only full. Otherwise the lab uses an empty home in the scratch
    folder.
    """
    home, scratch = home_folder(), Path(os.environ["LAB_SCRATCH"])
    if problem:
        logs.write_warning(f"{home}: {problem.notice}")
        os.environ["LAB_HOME_NOTICE"] = problem.notice
    if problem and problem.full:
        for name, folder in NEEDED_FOLDERS.items():
            if not (home / folder).is_dir():
                os.environ.setdefault(name, str(scratch / name.lower()))
    elif problem:
        replace_home(home, scratch / "home", readable=problem.readable)
    # JupyterLab shows the files of its working folder. The image's working folder is /, which contains no files of the
    # user.
    if problem or os.getcwd() == "/":
        os.chdir(home_folder())
    initialize_home(home_folder())


def replace_home(home: Path, replacement: Path, *, readable: bool) -> None:
    """Set HOME to a new folder. If the user's home is readable, the new folder contains a link to the user's home."""
    create_private_folder(replacement)
    if readable:
        with suppress(FileExistsError):
            (replacement / "read-only-home").symlink_to(home)
    os.environ["HOME"] = str(replacement)
