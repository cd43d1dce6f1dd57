"""The image alone: make the one user, run their JupyterHub, and say how to log in.

Root is needed for the first of these only. Hub, proxy and lab run as the user.
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

from lsstlab import session
from lsstlab.hub import CONFIG_FILE
from lsstlab.settings import Settings, SettingsError, load

FIRST_UID = 1000
BANNER = """
  JupyterLab with the LSST stack:  http://127.0.0.1:{port}  (or the port that you published it on)
  user:      {user}
  password:  {password}

"""


def choose_uid(home: Path) -> int:
    """Give the UID for the user of this home: whose it is, where a volume is mounted, else the first.

    Raises
    ------
    SettingsError
        It is whose user the image already has: PAM would take one for the other.
    """
    try:
        uid = home.stat().st_uid or FIRST_UID
    except FileNotFoundError:
        return FIRST_UID
    if taken := [entry.pw_name for entry in pwd.getpwall() if entry.pw_uid == uid]:
        raise SettingsError(f"{home} belongs to UID {uid}, which is {taken[0]} in the image: give it another owner")
    return uid


def run_tool(program: str, *arguments: str, typed: str = "") -> None:
    """Run one of Debian's programs for accounts.

    Raises
    ------
    SettingsError
        It fails; the message holds what it said.
    """
    done = subprocess.run([program, *arguments], input=typed, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SettingsError(
            f"cannot make the user: {done.stderr.strip()} (the container needs a root file system that it can write, "
            "and the capabilities that Docker gives)"
        )


def make_user(name: str, password: str) -> pwd.struct_passwd:
    """Make the user if they are not there (a restarted container has them), and set their password.

    Raises
    ------
    SettingsError
        The name is one of the image's own, or the user cannot be made.
    """
    home = Path("/home") / name
    here = [entry for entry in pwd.getpwall() if entry.pw_name == name]
    group_is_there = name in {entry.gr_name for entry in grp.getgrall()}
    if (here and here[0].pw_dir != str(home)) or (group_is_there and not here):
        raise SettingsError(f"LAB_USER: {name} is one of the image's own users or groups: take another name")
    if not here:
        uid = str(choose_uid(home))
        options = ["--no-log-init", "--shell", "/bin/bash", "--uid", uid, "--home-dir", str(home)]
        run_tool("/usr/sbin/useradd", *options, name)
    run_tool("/usr/sbin/chpasswd", typed=f"{name}:{password}\n")
    return pwd.getpwnam(name)


def own(folder: Path, user: pwd.struct_passwd) -> None:
    """Make a folder of the user's; one that is there stays as it is, but for root's.

    Raises
    ------
    SettingsError
        It cannot be made or given to the user.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if folder.stat().st_uid == 0:
            os.chown(folder, user.pw_uid, user.pw_gid)
            folder.chmod(0o700)
    except OSError as error:
        raise SettingsError(
            f"{folder}: {error.strerror}: it has to be a folder that {user.pw_name} can write"
        ) from error


def become(user: pwd.struct_passwd) -> None:
    """Give up root for good."""
    os.initgroups(user.pw_name, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


def check_privileges() -> None:
    """Refuse to start where the login could not work.

    Raises
    ------
    SettingsError
        The container was started as somebody else than root, or without new privileges.
    """
    if os.getuid() != 0:
        raise SettingsError(
            f"the container runs as UID {os.getuid()}: alone it has to start as root, to make the user who logs in "
            "(it then runs as that user); leave out --user"
        )
    if "NoNewPrivs:\t1" in Path("/proc/self/status").read_text():
        raise SettingsError(
            "the container runs with no-new-privileges, which keeps PAM from checking the password: alone, leave it out"
        )


def announce(hub: subprocess.Popen[bytes], settings: Settings, banner: str) -> None:
    """Print how to log in as soon as one can, if the hub comes up at all."""
    # Without a proxy, whatever the environment says: this is the container itself.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    # The hub itself first: the proxy writes ten lines for each request that it cannot hand on yet.
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


def supervise(command: list[str], environ: dict[str, str], settings: Settings, banner: str) -> int:
    """Run the hub until it ends or a signal ends it; give its exit status."""
    # A session of its own: Ctrl-C reaches the hub once, from here.
    hub = subprocess.Popen(command, env=environ, start_new_session=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: hub.send_signal(signal.SIGTERM))
    threading.Thread(target=announce, args=(hub, settings, banner), daemon=True).start()
    return hub.wait()


def run() -> int:
    """Make the user and run their hub; give its exit status.

    Raises
    ------
    SettingsError
        A setting is wrong, or the container was not started as the login needs it.
    SessionError
        The lab's scratch folder cannot be used.
    """
    settings = load(os.environ)
    if settings.login != "pam":
        raise SettingsError(f"LAB_LOGIN: found {settings.login}, wanted pam, the only one in the image")
    check_privileges()
    password = settings.password or secrets.token_hex(8)
    user = make_user(settings.user, password)
    for folder in (Path(user.pw_dir), settings.state):
        own(folder, user)
    shown = "the one you set" if settings.password else password
    banner = BANNER.format(port=settings.port, user=user.pw_name, password=shown)
    become(user)
    for folder in (Path(user.pw_dir), settings.state):
        if not os.access(folder, os.W_OK | os.X_OK):
            raise SettingsError(f"{folder}: {user.pw_name} (UID {user.pw_uid}) cannot write it: mount it writable")
    session.make_private(session.scratch_folder(os.environ))
    os.chdir(user.pw_dir)
    hidden = {"LAB_PASSWORD", "LAB_PASSWORD_FILE"}
    environ = {name: value for name, value in os.environ.items() if name not in hidden}
    environ |= {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name}
    hub = Path(sys.prefix) / "bin" / "jupyterhub"
    return supervise([str(hub), "--config", str(CONFIG_FILE)], environ, settings, banner)
