"""Tests of users' operations on Linux's NFS 4.2 client, with the mount options of our PersistentVolume."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from labtesting.fileserver import TOKEN
from labtesting.nfs import run_on_client

from fileserver.tests.image import client
from fileserver.tests.image.conftest import Pod

# The first test runs all checks, one of which waits for a minute.


@pytest.fixture(scope="module")
def errors(pod: Pod, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run all checks on one client, and return the error of each check. The error of a passed check is empty."""
    log = tmp_path_factory.mktemp("client") / "log"
    # The client runs the command in the folder of the checkout, so that Python can import `fileserver`.
    command = (sys.executable, "-m", client.__name__, "/mnt", pod.api, TOKEN)
    with run_on_client(f"{pod.address}:/", *command, log=log) as running:
        lines = [json.loads(line) for line in running.finish(240).splitlines() if line.startswith("{")]
    return {line["check"]: line["error"] for line in lines}


@pytest.mark.parametrize("name", client.CHECKS)
def test_linux_client_passes_the_check(name: str, errors: dict[str, Any]) -> None:
    assert name in errors, "the client did not run this check"
    assert errors[name] == ""


def test_each_created_folder_is_in_the_log(pod: Pod, errors: dict[str, Any]) -> None:
    created = [line for line in pod.labfiles.log().splitlines() if '"created a ' in line]
    assert len(created) == 4 + 17
