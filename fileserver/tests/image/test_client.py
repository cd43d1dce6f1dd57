"""The real Linux NFS 4.2 client, with the mount options of our PersistentVolume: what people do, and may not do."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from labtesting.fileserver import TOKEN
from labtesting.nfs import run_on_client

from fileserver.tests.image.client import CHECKS
from fileserver.tests.image.conftest import Pod

# All checks run in the first test's time; one of them waits for a minute.
pytestmark = pytest.mark.timeout(300)
PROGRAM = Path(__file__).parent / "client.py"


@pytest.fixture(scope="module")
def told(pod: Pod, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run all checks on one machine; give what it says of each."""
    log = tmp_path_factory.mktemp("client") / "log"
    with run_on_client(f"{pod.address}:/", sys.executable, PROGRAM, "/mnt", pod.api, TOKEN, log=log) as client:
        lines = [json.loads(line) for line in client.finish(240).splitlines() if line.startswith("{")]
    return {line["check"]: line["error"] for line in lines}


@pytest.mark.parametrize("name", CHECKS)
def test_for_the_linux_client(name: str, told: dict[str, Any]) -> None:
    assert name in told, "it did not come so far"
    assert told[name] == ""


def test_each_folder_that_was_made_is_in_the_log(pod: Pod, told: dict[str, Any]) -> None:
    made = [line for line in pod.labfiles.log().splitlines() if '"made a ' in line]
    assert len(made) == 4 + 17
