"""The environment of a lab: variables that move sockets, databases and other files out of the home.

The home may be full, or on NFS. On NFS, SQLite databases can become corrupt (https://www.sqlite.org/faq.html#q5).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from lsstlab.errors import LabError


class EnvironmentFolderError(LabError):
    """A folder that the lab cannot use. The message names the environment variable, the folder and the next action."""


def scratch_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder for sockets and databases. The default is a folder of the user in /tmp.

    The default name is short, because kernels create Unix sockets in the folder. The path of a Unix socket can have at
    most 107 bytes.
    """
    return Path(environ.get("LAB_SCRATCH") or f"/tmp/lab-{os.getuid()}")  # noqa: S108  (owner checked)


def create_private_folder(folder: Path) -> None:
    """Create a folder that only its owner can use. An existing folder of the owner gets the mode 0700.

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
    """Return the environment variables that a lab must set for itself, its kernels and its terminals."""
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
