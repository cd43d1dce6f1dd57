"""What a spawned lab says of itself, and what it does not say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from labtesting.hub_process import wait_until
from labtesting.labclient import SpawnedLab
from labtesting.logevents import assert_log_events

Spawn = Callable[..., SpawnedLab]
SECRET = "a-line-of-somebody-s-code"


def test_session_and_kernels_are_told_of_in_lines_of_the_contract_and_their_code_is_not(
    spawn: Spawn, tmp_path: Path
) -> None:
    lab = spawn(LAB_LOG="json", USER="vera")
    with lab.client.kernel("python3") as kernel:
        assert SECRET in kernel.execute(f"print('{SECRET}')").stdout
        kernel_id = lab.client.request("GET", "api/kernels").json()[0]["id"]
    log = tmp_path / "lab.log"
    wait_until(lambda: "kernel_stop" in log.read_text(), "the end of the kernel is told of", 10)
    lines = assert_log_events(log.read_text().splitlines())
    session = [one for one in lines if one["event.dataset"] == "lab.session"]
    assert [one["event.action"] for one in session] == ["session_start", "kernel_start", "kernel_stop"]
    assert {one["user.name"] for one in session} == {"vera"}
    assert {one["lab.kernel.id"] for one in session[1:]} == {kernel_id}
    assert SECRET not in log.read_text()


def test_without_being_asked_for_json_the_log_is_for_a_person(spawn: Spawn, tmp_path: Path) -> None:
    spawn()
    assert '"log.level"' not in (tmp_path / "lab.log").read_text()
    assert "Jupyter Server" in (tmp_path / "lab.log").read_text()
