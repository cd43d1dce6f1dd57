"""The surroundings of one lab: where its files lie that must not lie in the home directory.

The home may be on NFS, where SQLite corrupts, and may be full, which must not keep anyone from logging in.
"""

from __future__ import annotations

import gc
import os
import shutil
import stat
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from lsstlab import logs
from lsstlab.home import Finding, Probing
from lsstlab.lean import without_the_unused
from lsstlab.lifetime import Lifetime, LifetimeError
from lsstlab.reach import reach_first

# What hubs call the server by.
SERVER = "jupyterhub-singleuser"

# Without these no kernel starts and extensions are left out. Whoever has none yet gets none in a full home.
WANTED_FOLDERS = {
    "IPYTHONDIR": ".ipython/profile_default",
    "JUPYTER_CONFIG_DIR": ".jupyter",
    "JUPYTER_DATA_DIR": ".local/share/jupyter",
}

# The server's, which import what they do not use
EXTENSIONS = ("jupyterlab.labapp", "nbdime.webapp.nb_server_extension")

SKELETON = Path("/etc/skel")
USER_SETUPS = """\
# Run by bash before each LSST_Stack kernel starts, after `setup lsst_distrib`. For example:
# setup -r ~/notebooks/my_package
"""


class SessionError(Exception):
    """The lab cannot start here; the message says why and what to do."""


def scratch_folder(environ: Mapping[str, str]) -> Path:
    """Give the folder for sockets and databases: LAB_SCRATCH, or one in /tmp that is the user's own.

    The name is short because a Unix socket's path, which is what kernels talk over, ends at 107 bytes.
    """
    return Path(environ.get("LAB_SCRATCH") or f"/tmp/lab-{os.getuid()}")  # noqa: S108  (owner checked)


def make_private(folder: Path) -> None:
    """Make a folder that only its owner can enter.

    Raises
    ------
    SessionError
        It cannot be made, or it is there and someone else could have prepared it.
    """
    if not folder.is_absolute():
        raise SessionError(f"LAB_SCRATCH: found {folder}, wanted an absolute path")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        message = f"LAB_SCRATCH: cannot make {folder} ({error.strerror}): name a folder that you may write"
        raise SessionError(message) from error
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise SessionError(f"LAB_SCRATCH: {folder} belongs to someone else: name a folder of your own")
    if found.st_mode & 0o077:
        folder.chmod(0o700)


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Give the variables that a lab, its kernels and its terminals run with, beyond those they have."""
    scratch = scratch_folder(environ)
    return {
        "LAB_SCRATCH": str(scratch),
        "JUPYTER_RUNTIME_DIR": environ.get("JUPYTER_RUNTIME_DIR") or str(scratch / "runtime"),
        "JUPYTERLAB_WORKSPACES_DIR": str(scratch / "workspaces"),
        "SHELL": environ.get("SHELL") or "/bin/bash",
    }


def furnish(home: Path) -> None:
    """Give a new home the system's first files, and `~/notebooks` with a `.user_setups` that explains itself.

    A home that cannot be written (full, read-only) is no reason not to start.
    """
    try:
        if not any(home.iterdir()):
            for file in SKELETON.iterdir():
                (shutil.copytree if file.is_dir() else shutil.copy)(file, home / file.name)
        (home / "notebooks").mkdir()
        (home / "notebooks" / ".user_setups").write_text(USER_SETUPS)
    except OSError:
        return


def prepare() -> None:
    """Make this process's surroundings a lab's: its folders, its variables.

    Raises
    ------
    SessionError
        The scratch folder cannot be used.
    """
    os.environ.update(environment(os.environ))
    make_private(Path(os.environ["LAB_SCRATCH"]))
    make_private(Path(os.environ["JUPYTER_RUNTIME_DIR"]))


def home_folder() -> Path:
    """Give the home that this process was told."""
    return Path(os.environ.get("HOME") or "/")


def settle(finding: Finding | None) -> None:
    """Live with what is wrong with the home: use it if it is only full, else an empty one on the pod's own disk."""
    home, scratch = home_folder(), Path(os.environ["LAB_SCRATCH"])
    if finding:
        logs.warn(f"{home}: {finding.notice}")
        os.environ["LAB_HOME_NOTICE"] = finding.notice
    if finding and finding.full:
        for name, folder in WANTED_FOLDERS.items():
            if not (home / folder).is_dir():
                os.environ.setdefault(name, str(scratch / name.lower()))
    elif finding:
        replace_home(home, scratch / "home", readable=finding.readable)
    # Jupyter shows the folder that it is started in; nobody has chosen /, where an image's programs start.
    if finding or os.getcwd() == "/":
        os.chdir(home_folder())
    furnish(home_folder())


def replace_home(home: Path, replacement: Path, *, readable: bool) -> None:
    """Make an empty home, with a way to what can still be read of the other."""
    make_private(replacement)
    if readable:
        with suppress(FileExistsError):
            (replacement / "read-only-home").symlink_to(home)
    os.environ["HOME"] = str(replacement)


def run(command: list[str]) -> None:
    """Become the command, in a lab's surroundings.

    Raises
    ------
    SessionError
        The scratch folder cannot be used, or there is no such command.
    """
    prepare()
    furnish(home_folder())
    try:
        os.execvp(command[0], command)  # noqa: S606  (no shell is wanted)
    except OSError as error:
        raise SessionError(f"{command[0]}: {error.strerror}") from error


def run_server(options: list[str]) -> None:
    """Be the single-user server of the hub that spawned this lab, with its options.

    Raises
    ------
    SessionError
        The scratch folder cannot be used, or a limit that the hub gave is wrong.
    """
    prepare()
    try:
        Lifetime.read(os.environ)
    except LifetimeError as error:
        raise SessionError(str(error)) from error
    probing = Probing(home_folder())  # while the modules load, which do not look into it yet
    # Importing a thousand modules makes the collector run hundreds of times over objects that all stay: 13 % of
    # the time until the server answers. lsstlab.extension, the last thing loaded, turns it on again.
    # Should a user's configuration leave the extension out, the timer does.
    gc.disable()
    timer = threading.Timer(60, gc.enable)
    timer.daemon = True
    timer.start()
    with without_the_unused():
        from jupyterhub.singleuser.extension import JupyterHubSingleUser, main  # type: ignore[import-untyped]

    reach_first(JupyterHubSingleUser)
    if logs.wants_json(os.environ):
        logs.speak_json()
    settle(probing.result())
    with without_the_unused():  # only now: JupyterLab looks for its user's settings as soon as it is imported
        for extension in EXTENSIONS:
            import_module(extension)
    sys.argv = [SERVER, *options]
    main()
