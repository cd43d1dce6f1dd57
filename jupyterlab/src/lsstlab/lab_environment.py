"""The environment of one lab: the variables and folders for files that must not be in the home directory.

The home may be on NFS, where SQLite corrupts, and may be full, which must not keep a user from the lab.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from lsstlab.errors import LabError


class EnvironmentFolderError(LabError):
    """A folder of the lab cannot be used. The message names the setting, the folder and the next action."""


def scratch_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder for sockets and databases: LAB_SCRATCH, or a folder of the user in /tmp.

    The name is short because the path of a Unix socket, which kernels use, ends at 107 bytes.
    """
    return Path(environ.get("LAB_SCRATCH") or f"/tmp/lab-{os.getuid()}")  # noqa: S108  (owner checked)


def create_private_folder(folder: Path) -> None:
    """Create a folder that only its owner can enter.

    Raises
    ------
    EnvironmentFolderError
        Raised if the folder cannot be created, or if another user owns it and may have prepared it.
    """
    if not folder.is_absolute():
        raise EnvironmentFolderError(f"LAB_SCRATCH: found {folder}, wanted an absolute path")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        message = f"LAB_SCRATCH: cannot make {folder} ({error.strerror}): name a folder that you may write"
        raise EnvironmentFolderError(message) from error
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise EnvironmentFolderError(f"LAB_SCRATCH: {folder} belongs to someone else: name a folder of your own")
    if status.st_mode & 0o077:
        folder.chmod(0o700)


def lab_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a lab, its kernels and its terminals need beyond those of this process."""
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
