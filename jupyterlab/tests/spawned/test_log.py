"""Tests of the log of a spawned lab: it contains events of the session and of kernels, but no code of the user."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from labtesting.hub_process import wait_until
from labtesting.labclient import SpawnedLab
from labtesting.logevents import assert_log_events

Spawn = Callable[..., SpawnedLab]
SECRET = "a-line-of-a-user-s-code"


def test_session_and_kernel_events_contain_no_code(spawn: Spawn, tmp_path: Path) -> None:
    lab = spawn(LAB_LOG="json", USER="vera")
    with lab.client.kernel("python3") as kernel:
        assert SECRET in kernel.execute(f"print('{SECRET}')").stdout
        kernel_id = lab.client.request("GET", "api/kernels").json()[0]["id"]
    log = tmp_path / "lab.log"
    wait_until(lambda: "kernel_stop" in log.read_text(), "the end of the kernel is logged")
    lines = assert_log_events(log.read_text().splitlines())
    session = [line for line in lines if line["event.dataset"] == "lab.session"]
    assert [line["event.action"] for line in session] == ["session_start", "kernel_start", "kernel_stop"]
    assert {line["user.name"] for line in session} == {"vera"}
    assert {line["lab.kernel.id"] for line in session[1:]} == {kernel_id}
    assert SECRET not in log.read_text()


def test_log_is_plain_text_by_default(spawn: Spawn, tmp_path: Path) -> None:
    spawn()
    assert '"log.level"' not in (tmp_path / "lab.log").read_text()
    assert "Jupyter Server" in (tmp_path / "lab.log").read_text()
