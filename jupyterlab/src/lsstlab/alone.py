"""The image alone: make the one user, run their JupyterHub, and say how to log in.

Root is needed for the first of these only. Hub, proxy and lab run as the user.
"""

from __future__ import annotations

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

from lsstlab.hub import CONFIG_FILE
from lsstlab.settings import Settings, SettingsError, load

FIRST_UID = 1000
BANNER = """
  JupyterLab with the LSST stack:  http://127.0.0.1:{port}  (or the port that you published it on)
  user:      {user}
  password:  {password}

"""


def home_uid(home: Path) -> int:
    """Give the UID for the user of this home: whose it is, where a volume is mounted, else the first."""
    try:
        return home.stat().st_uid or FIRST_UID
    except FileNotFoundError:
        return FIRST_UID


def make_user(settings: Settings, password: str) -> pwd.struct_passwd:
    """Make the user if they are not there (a restarted container has them), and set their password."""
    home = Path("/home") / settings.user
    try:
        if pwd.getpwnam(settings.user).pw_uid < FIRST_UID:
            raise SettingsError(f"LAB_USER: {settings.user} is one of the image's own users: take another name")
    except KeyError:
        options = ["--no-log-init", "--shell", "/bin/bash", "--uid", str(home_uid(home)), "--home-dir", str(home)]
        subprocess.run(["/usr/sbin/useradd", *options, settings.user], check=True)
    subprocess.run(["/usr/sbin/chpasswd"], input=f"{settings.user}:{password}\n", text=True, check=True)
    return pwd.getpwnam(settings.user)


def own(folder: Path, user: pwd.struct_passwd, mode: int) -> None:
    """Make a folder of the user's; one that is there stays as it is, but for root's."""
    folder.mkdir(parents=True, exist_ok=True)
    if folder.stat().st_uid == 0:
        os.chown(folder, user.pw_uid, user.pw_gid)
        folder.chmod(mode)


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
    """Run the hub until it ends or a signal ends it; give its exit status.

    This is the container's first process, so it also takes leave of every orphan that ends: neither JupyterHub
    nor Python does that by itself.
    """
    # A session of its own: Ctrl-C reaches the hub once, from here.
    hub = subprocess.Popen(command, env=environ, start_new_session=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: hub.send_signal(signal.SIGTERM))
    threading.Thread(target=announce, args=(hub, settings, banner), daemon=True).start()
    while True:
        pid, status = os.wait()
        if pid == hub.pid:
            hub.returncode = os.waitstatus_to_exitcode(status)
            return hub.returncode


def run() -> int:
    """Make the user and run their hub; give its exit status.

    Raises
    ------
    SettingsError
        A setting is wrong, or the container was not started as the login needs it.
    """
    settings = load(os.environ)
    check_privileges()
    password = settings.password or secrets.token_hex(8)
    user = make_user(settings, password)
    own(Path(user.pw_dir), user, 0o700)
    own(settings.state, user, 0o700)
    shown = "the one you set" if settings.password else password
    banner = BANNER.format(port=settings.port, user=user.pw_name, password=shown)
    become(user)
    os.chdir(user.pw_dir)
    hidden = {"LAB_PASSWORD", "LAB_PASSWORD_FILE"}
    environ = {name: value for name, value in os.environ.items() if name not in hidden}
    environ |= {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name}
    hub = Path(sys.prefix) / "bin" / "jupyterhub"
    return supervise([str(hub), "--config", str(CONFIG_FILE)], environ, settings, banner)
