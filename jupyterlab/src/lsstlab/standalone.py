"""A standalone lab: a container that runs its own JupyterHub for one user.

The container's process starts as root, creates the user, and runs the hub as this user. The hub starts the proxy and
the lab as the same user. The process prints the user name and the password.
"""

from __future__ import annotations

import grp
import os
import pwd
import secrets
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

from lsstlab.lab_environment import create_private_folder, scratch_folder
from lsstlab.settings import Settings, SettingsError, load
from lsstlab.standalone_config import CONFIG_FILE

FIRST_UID = 1000
SECRET_VARIABLES = {"LAB_PASSWORD", "LAB_PASSWORD_FILE"}
BANNER = """
  JupyterLab with the LSST stack:  http://127.0.0.1:{port}  (or the host port that you published)
  user:      {user}
  password:  {password}

"""


def run() -> int:
    """Create the user, run a hub as this user, and return the exit status of the hub.

    Raises
    ------
    SettingsError
        Raised if a setting is wrong, or if the container lacks a privilege or a writable folder.
    EnvironmentFolderError
        Raised if the lab's scratch folder cannot be used.
    """
    settings = load(os.environ)
    if settings.login != "pam":
        raise SettingsError(f"LAB_LOGIN: found {settings.login}, wanted pam, the only login of the image")
    check_privileges()
    password = settings.password or secrets.token_hex(8)
    user = create_user(settings.user, password)
    folders = (Path(user.pw_dir), settings.state)
    for folder in folders:
        create_folder(folder, user)
    drop_root(user)
    for folder in folders:
        check_writable(folder, user)
    create_private_folder(scratch_folder(os.environ))
    os.chdir(user.pw_dir)
    shown = "the one that you set" if settings.password else password
    banner = BANNER.format(port=settings.port, user=user.pw_name, password=shown)
    hub = Path(sys.prefix) / "bin" / "jupyterhub"
    return run_hub([str(hub), "--config", str(CONFIG_FILE)], hub_environment(user), settings, banner)


def check_privileges() -> None:
    """Check that the container has the privileges to create a user and to check a password.

    Raises
    ------
    SettingsError
        Raised if the container does not run as root, or runs with no-new-privileges.
    """
    if os.getuid() != 0:
        raise SettingsError(
            f"the container runs as UID {os.getuid()}, but without a hub it must start as root to create the user who "
            "logs in (it then runs as that user): leave out --user"
        )
    if "NoNewPrivs:\t1" in Path("/proc/self/status").read_text():
        raise SettingsError(
            "the container runs with no-new-privileges, which prevents PAM from checking the password: leave out "
            "no-new-privileges"
        )


def create_user(name: str, password: str) -> pwd.struct_passwd:
    """Create the user and set the password. In a restarted container the user exists already, so only set the password.

    Raises
    ------
    SettingsError
        Raised if the image itself has a user or group of this name, or if the user cannot be created.
    """
    home = Path("/home") / name
    existing = [entry for entry in pwd.getpwall() if entry.pw_name == name]
    group_exists = name in {entry.gr_name for entry in grp.getgrall()}
    if (existing and existing[0].pw_dir != str(home)) or (group_exists and not existing):
        raise SettingsError(f"LAB_USER: found {name!r}, a user or group of the image, wanted another name")
    if not existing:
        uid = str(choose_uid(home))
        options = ["--no-log-init", "--shell", "/bin/bash", "--uid", uid, "--home-dir", str(home)]
        run_account_tool("/usr/sbin/useradd", *options, name)
    run_account_tool("/usr/sbin/chpasswd", stdin=f"{name}:{password}\n")
    return pwd.getpwnam(name)


def choose_uid(home: Path) -> int:
    """Return the UID for the new user. If the home exists, because it is a mounted volume, return the UID of its owner.

    If no home exists, or if root owns the home, return FIRST_UID.

    Raises
    ------
    SettingsError
        Raised if a user of the image has the UID of the home's owner. PAM cannot distinguish two users with one UID.
    """
    try:
        uid = home.stat().st_uid or FIRST_UID
    except FileNotFoundError:
        return FIRST_UID
    if owners := [entry.pw_name for entry in pwd.getpwall() if entry.pw_uid == uid]:
        raise SettingsError(f"{home} belongs to UID {uid}, which is {owners[0]} in the image: change its owner")
    return uid


def run_account_tool(program: str, *arguments: str, stdin: str = "") -> None:
    """Run useradd or chpasswd.

    Raises
    ------
    SettingsError
        Raised if the program fails. The message contains the error output of the program.
    """
    done = subprocess.run([program, *arguments], input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SettingsError(
            f"cannot create the user: {done.stderr.strip()}: start the container with a writable root file system and "
            "Docker's default capabilities"
        )


def create_folder(folder: Path, user: pwd.struct_passwd) -> None:
    """Create a folder for the user. If root owns the folder, change the owner to the user and the mode to 0700.

    Raises
    ------
    SettingsError
        Raised if the folder cannot be created, or if its owner cannot be changed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if folder.stat().st_uid == 0:
            os.chown(folder, user.pw_uid, user.pw_gid)
            folder.chmod(0o700)
    except OSError as error:
        raise SettingsError(
            f"cannot prepare {folder} ({error.strerror}): use a folder that {user.pw_name} can write"
        ) from error


def drop_root(user: pwd.struct_passwd) -> None:
    """Change the UID and the groups of this process to those of the user. The process cannot become root again."""
    os.initgroups(user.pw_name, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


def check_writable(folder: Path, user: pwd.struct_passwd) -> None:
    """Check that this process, which runs as the user, can write to a folder.

    Raises
    ------
    SettingsError
        Raised if the process cannot write to the folder.
    """
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SettingsError(
            f"{folder}: {user.pw_name} (UID {user.pw_uid}) cannot write to it: change its owner or mode, or mount it "
            "writable"
        )


def hub_environment(user: pwd.struct_passwd) -> dict[str, str]:
    """Return the hub's environment variables: those of this process without the password, and the user's own HOME."""
    environ = {name: value for name, value in os.environ.items() if name not in SECRET_VARIABLES}
    return environ | {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name}


def run_hub(command: list[str], environ: dict[str, str], settings: Settings, banner: str) -> int:
    """Run the hub until it ends, and return its exit status. Print the banner when the hub is ready.

    When this process receives a signal to stop, it sends SIGTERM to the hub.
    """
    # Start the hub in its own session. Otherwise Ctrl-C would send a second signal directly to the hub.
    hub = subprocess.Popen(command, env=environ, start_new_session=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: hub.send_signal(signal.SIGTERM))
    threading.Thread(target=print_when_ready, args=(hub, settings, banner), daemon=True).start()
    return hub.wait()


def print_when_ready(hub: subprocess.Popen[bytes], settings: Settings, banner: str) -> None:
    """Print the banner when the login page answers. Print nothing if the hub ends before that."""
    # Ignore the variable HTTP_PROXY, because these requests stay inside the container.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    # First wait for the hub, and then for the proxy. Without a hub, the proxy would log ten lines for each request.
    for page in (f"{settings.hub_port}/hub/health", f"{settings.port}/hub/login"):
        while True:
            if hub.returncode is not None:
                return
            try:
                direct.open(f"http://127.0.0.1:{page}", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
    sys.stdout.write(banner)
    sys.stdout.flush()
