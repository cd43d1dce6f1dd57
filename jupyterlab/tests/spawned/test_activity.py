"""Tests of the time of last activity that a spawned lab reports to its hub (docs/dev/lab.md, "Activity")."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from labtesting.hub_process import wait_until
from labtesting.labclient import PROMPT, SpawnedLab

Spawn = Callable[..., SpawnedLab]
EMPTY_NOTEBOOK = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def wait_for_idleness(lab: SpawnedLab) -> None:
    """Wait until the lab has sent three reports in a row to the hub with the same time of last activity."""
    seen = len(lab.hub.reports)
    wait_until(lambda: len(lab.hub.reports) >= seen + 3 and len(set(lab.hub.reports[-3:])) == 1, "the lab is idle")


def wait_for_use(lab: SpawnedLab) -> None:
    """Wait for three reports of the lab to the hub, and check that the time of last activity increases in them."""
    seen = len(lab.hub.reports)
    wait_until(lambda: len(lab.hub.reports) >= seen + 3, "the lab reports three times")
    assert lab.hub.reports[-3] < lab.hub.reports[-2] < lab.hub.reports[-1]


def test_silent_busy_kernel_counts_as_use(spawn: Spawn) -> None:
    lab = spawn()
    with lab.client.kernel("python3") as kernel:
        wait_for_idleness(lab)
        kernel.send("execute_request", {"code": "import time; time.sleep(1000)", "silent": False})
        wait_for_use(lab)
        lab.client.request("POST", f"api/kernels/{kernel_id(lab)}/interrupt")
        wait_for_idleness(lab)


def kernel_id(lab: SpawnedLab) -> str:
    kernels: list[dict[str, str]] = lab.client.request("GET", "api/kernels").json()
    return kernels[0]["id"]


def test_busy_kernel_without_a_page_counts_as_use(spawn: Spawn) -> None:
    lab = spawn()
    with lab.client.kernel("python3") as kernel:
        kernel.send("execute_request", {"code": "import time; time.sleep(1000)", "silent": False})
        wait_until(
            lambda: lab.client.request("GET", "api/kernels").json()[0]["execution_state"] == "busy",
            "the kernel is busy",
        )
        kernel.socket.close()
        wait_for_use(lab)


def test_foreground_program_counts_as_use_until_its_end(spawn: Spawn) -> None:
    lab = spawn()
    with lab.client.terminal() as terminal:
        terminal.read_until(PROMPT)
        wait_for_idleness(lab)
        terminal.type("cat")
        wait_for_use(lab)
        # End `cat` with Ctrl-D, not with Ctrl-C. If pytest runs in the background of a shell, its child processes
        # ignore the SIGINT of Ctrl-C.
        terminal.type("\x04")
        wait_for_idleness(lab)


def test_background_job_does_not_count_as_use(spawn: Spawn) -> None:
    lab = spawn()
    with lab.client.terminal() as terminal:
        terminal.type("sleep 1000 & echo started: $!")
        terminal.read_until("started: ")
        wait_for_idleness(lab)


def test_typing_into_a_terminal_counts_as_use(spawn: Spawn) -> None:
    lab = spawn()
    with lab.client.terminal() as terminal:
        terminal.read_until(PROMPT)
        before = lab.last_activity()

        def typed() -> bool:
            terminal.socket.send('["stdin", "x"]')
            return lab.last_activity() > before

        wait_until(typed, "typing into the terminal counts as use")


def test_saving_a_file_counts_as_use(spawn: Spawn) -> None:
    lab = spawn()
    before = lab.last_activity()
    lab.client.request("PUT", "api/contents/new.ipynb", json={"type": "notebook", "content": EMPTY_NOTEBOOK})
    assert lab.last_activity() > before


def test_requests_of_an_untouched_page_are_no_use(spawn: Spawn, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    lab = spawn()
    before = lab.last_activity()
    for path in ("api/contents", "api/kernels", "api/sessions", "api/terminals", "lab/api/workspaces"):
        lab.client.request("GET", path)
    lab.client.request("POST", "git/status", json={})
    assert lab.last_activity() == before


def test_only_a_post_to_notices_counts_as_use(spawn: Spawn) -> None:
    lab = spawn()
    before = lab.last_activity()
    assert lab.notices() == []
    assert lab.last_activity() == before
    assert lab.client.request("POST", "lsstlab/notices").json() == []
    assert lab.last_activity() > before


def test_automatic_reconnect_does_not_count_as_use(spawn: Spawn) -> None:
    lab = spawn()
    with lab.client.kernel("python3"), lab.client.terminal() as terminal:
        terminal.read_until(PROMPT)
        wait_for_idleness(lab)
        before = lab.last_activity()
        name = lab.client.request("GET", "api/terminals").json()[0]["name"]
        with (
            lab.client.socket(f"terminals/websocket/{name}") as socket,
            lab.client.socket(f"api/kernels/{kernel_id(lab)}/channels"),
        ):
            socket.send('["set_size", 24, 80, 480, 640]')
            while "2004h" not in str(socket.recv(30)):
                pass
            assert lab.last_activity() == before
