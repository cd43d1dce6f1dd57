"""The environment of a lab: the variables and folders for files that must not be in the home.

The home may be on NFS, where SQLite databases can become corrupt (https://www.sqlite.org/faq.html#q5), or full.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from lsstlab.errors import LabError


class EnvironmentFolderError(LabError):
    """A folder that the lab cannot use. The message names the setting, the folder and the next action."""


def scratch_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder for sockets and databases: LAB_SCRATCH, or a folder of the user in /tmp.

    The folder's name is short because kernels use Unix sockets, whose paths have at most 107 bytes.
    """
    return Path(environ.get("LAB_SCRATCH") or f"/tmp/lab-{os.getuid()}")  # noqa: S108  (owner checked)


def create_private_folder(folder: Path) -> None:
    """Create a folder that only its owner can enter.

    Raises
    ------
    EnvironmentFolderError
        Raised if the folder cannot be created, or if it is a link or another user's folder.
    """
    if not folder.is_absolute():
        raise EnvironmentFolderError(f"LAB_SCRATCH: found {folder}, wanted an absolute path")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        message = f"LAB_SCRATCH: cannot create {folder} ({error.strerror}): set it to a folder that you can write"
        raise EnvironmentFolderError(message) from error
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise EnvironmentFolderError(f"LAB_SCRATCH: {folder} is not a folder that you own: set it to another folder")
    if status.st_mode & 0o077:
        folder.chmod(0o700)


def lab_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a lab, its kernels and its terminals need in addition to the current environment."""
    scratch = scratch_folder(environ)
    return {
        "LAB_SCRATCH": str(scratch),
        "JUPYTER_RUNTIME_DIR": environ.get("JUPYTER_RUNTIME_DIR") or str(scratch / "runtime"),
        "JUPYTERLAB_WORKSPACES_DIR": str(scratch / "workspaces"),
        "SHELL": environ.get("SHELL") or "/bin/bash",
    }


def prepare_environment() -> None:
    """Set the lab's variables in this process and create the lab's folders.

    Raises
    ------
    EnvironmentFolderError
        Raised if the scratch folder cannot be used.
    """
    os.environ.update(lab_variables(os.environ))
    create_private_folder(Path(os.environ["LAB_SCRATCH"]))
    create_private_folder(Path(os.environ["JUPYTER_RUNTIME_DIR"]))
