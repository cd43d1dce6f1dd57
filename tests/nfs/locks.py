"""File locks in a project folder: a program that locks two files, and a program that tries to lock them."""

from __future__ import annotations

import json
from pathlib import Path

from labtesting import cluster
from labtesting.nfs import run_on_client

from tests.nfs.deployment import Lab
from tests.nfs.lab_program import PYTHON
from tests.system.deployment import ORGANIZATION

PROJECT = f"/project/{ORGANIZATION}"
HELD, FREE = {"lockf": False, "flock": False}, {"lockf": True, "flock": True}
# A program that locks two files in a folder, one with `lockf` and one with `flock`. All members of the folder's group
# can open the files.
HOLDER = """
import fcntl, json, os, sys

os.umask(0o002)
lockf, flock = (open(f"{sys.argv[1]}/{name}", "w") for name in ("lockf", "flock"))
fcntl.lockf(lockf, fcntl.LOCK_EX)
fcntl.flock(flock, fcntl.LOCK_EX)
print(json.dumps({"locked": True}), flush=True)
sys.stdin.read()
"""
# A program that prints which of these two files it can lock
PROBE = """
import fcntl, json, sys

def is_free(name):
    with open(f"{sys.argv[1]}/{name}", "r+") as file:
        try:
            getattr(fcntl, name)(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True

print(json.dumps({name: is_free(name) for name in ("lockf", "flock")}))
"""


def probe(lab: Lab) -> dict[str, bool]:
    """Return for each of the two locks whether a lab can get it."""
    result: dict[str, bool] = json.loads(lab.run(PYTHON, "-c", PROBE, PROJECT))
    return result


def probe_elsewhere(lab: Lab, log: Path) -> dict[str, bool]:
    """Return for each lock whether the user of a lab can get it on an NFS client outside the cluster."""
    organization = lab.site.github.world.find_organization(ORGANIZATION)
    assert organization is not None
    address = cluster.get("service", "fileserver")["spec"]["clusterIP"]
    as_user = ("setpriv", f"--reuid={lab.account.id}", f"--regid={lab.account.id}", f"--groups={organization.id}")
    command = (*as_user, "python3", "-c", PROBE, f"/mnt/{organization.id}")
    with run_on_client(f"{address}:/project", *command, log=log) as client:
        result: dict[str, bool] = json.loads(client.finish().splitlines()[-1])
        return result
