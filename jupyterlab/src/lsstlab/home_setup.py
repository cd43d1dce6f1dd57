"""The home of a lab: its first files, and the replacement of a broken home."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from lsstlab import logs
from lsstlab.home_check import HomeProblem
from lsstlab.lab_environment import create_private_folder

# Kernels and extensions need these folders. A full home has no room to create them.
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
    """Return the home of this process."""
    return Path(os.environ.get("HOME") or "/")


def initialize_home(home: Path) -> None:
    """Copy /etc/skel into an empty home, and create `~/notebooks` with a commented `.user_setups`.

    A home that cannot be written (full, read-only) does not stop the lab.
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
    """Use the user's home if it works or is only full, else an empty one in the scratch folder, and initialize it."""
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
    # JupyterLab shows its working folder. The image's working folder is /, which has no files of the user.
    if problem or os.getcwd() == "/":
        os.chdir(home_folder())
    initialize_home(home_folder())


def replace_home(home: Path, replacement: Path, *, readable: bool) -> None:
    """Set HOME to an empty folder. If the old home can be read, the folder has a link to it."""
    create_private_folder(replacement)
    if readable:
        with suppress(FileExistsError):
            (replacement / "read-only-home").symlink_to(home)
    os.environ["HOME"] = str(replacement)
