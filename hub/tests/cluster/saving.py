"""A program in a lab that needs time to save its work when the lab stops."""

from __future__ import annotations

from labtesting.github import Account
from labtesting.hub_process import wait_until

from hub.tests.cluster.deployment import Deployment
from hub.tests.cluster.node import node_command

# A program that needs some seconds to save its work after SIGTERM
PROGRAM = """
import pathlib, signal, sys, time

home = pathlib.Path.home()

def save(*_):
    time.sleep({seconds})
    (home / "saved").write_text("saved")
    sys.exit()

signal.signal(signal.SIGTERM, save)
(home / "started").touch()
time.sleep(3600)
"""


# Seconds that the program needs to save: three times KubeSpawner's default grace period
SAVE_SECONDS = 3


def run_program(deployment: Deployment, account: Account, seconds: int = SAVE_SECONDS) -> None:
    """Start `PROGRAM` in a kernel of a running lab, and wait until the program runs."""
    program = PROGRAM.format(seconds=seconds)
    with deployment.visitor(account.login) as visitor:
        visitor.log_in()
        assert visitor.reaches_lab(account.login)
        with deployment.client(visitor, account.login).kernel("python3", shut_down=False) as kernel:
            kernel.execute(f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {program!r}])")
    wait_until(lambda: "started" in deployment.run(account, "ls", f"/home/{account.login}"), "the program runs")


def check_saved(account: Account) -> None:
    """Check that the program has saved its work."""
    node_command(f"hub-test-saved-{account.login}", f"test -s /storage/home/{account.id}/saved")
