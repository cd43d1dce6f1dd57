"""The image alone: make the one user, say how to log in, and become their JupyterHub.

Root is needed for the first of these only. Hub, proxy and lab run as the user.
"""

from __future__ import annotations

import os
import pwd
import secrets
import subprocess
import sys
from pathlib import Path

from lsstlab.hub import CONFIG_FILE
from lsstlab.settings import Settings, SettingsError, load

FIRST_UID = 1000
BANNER = """
  JupyterLab with the LSST stack:  http://127.0.0.1:{port}
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


def run() -> None:
    """Become the hub.

    Raises
    ------
    SettingsError
        A setting is wrong, or the container was started as somebody else than root.
    """
    settings = load(os.environ)
    if os.getuid() != 0:
        raise SettingsError(
            f"the container runs as UID {os.getuid()}: alone it has to start as root, to make the user who logs in "
            "(it then runs as that user); leave out --user"
        )
    password = settings.password or secrets.token_urlsafe(12)
    user = make_user(settings, password)
    own(Path(user.pw_dir), user, 0o700)
    own(settings.state, user, 0o700)
    shown = "the one you set" if settings.password else password
    sys.stdout.write(BANNER.format(port=settings.port, user=user.pw_name, password=shown) + "\n")
    sys.stdout.flush()
    become(user)
    os.chdir(user.pw_dir)
    hidden = {"LAB_PASSWORD", "LAB_PASSWORD_FILE"}
    environ = {name: value for name, value in os.environ.items() if name not in hidden}
    environ |= {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name}
    hub = Path(sys.prefix) / "bin" / "jupyterhub"
    os.execve(hub, [str(hub), "--config", str(CONFIG_FILE)], environ)  # noqa: S606  (no shell is wanted)
