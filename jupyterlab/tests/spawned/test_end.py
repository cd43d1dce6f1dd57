"""Tests that a spawned lab stops in time after SIGTERM, which a hub or a cluster sends."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from labtesting.labclient import PROMPT, SpawnedLab, Terminal
from lsstlab.hub_limits import STOP_SECONDS

Spawn = Callable[..., SpawnedLab]
# Statements that delay or prevent the end of the server, as an error in an extension can do
OBSTACLES = {
    "an exception": "raise RuntimeError('obstacle')",
    "a wait": "await asyncio.sleep(1000)",
    "a block": "time.sleep(1000)",
}
CONFIGURATION = """\
import asyncio, time
from jupyter_server.serverapp import ServerApp

async def obstacle(self):
    {}

ServerApp.cleanup_kernels = obstacle
"""


def test_a_lab_with_a_kernel_and_terminals_ends_at_once(spawn: Spawn) -> None:
    lab = spawn()
    lab.client.request("POST", "api/kernels", json={"name": "python3"})
    with ExitStack() as stack:
        for line in ("trap '' HUP INT TERM; sleep 1000 & echo deaf: $?", "exit"):
            name = lab.client.request("POST", "api/terminals").json()["name"]
            terminal = Terminal(stack.enter_context(lab.client.socket(f"terminals/websocket/{name}")))
            terminal.read_until(PROMPT)
            terminal.type(line)
        lab.process.terminate()
        assert lab.process.wait(STOP_SECONDS - 1) == 0


@pytest.mark.parametrize("obstacle", OBSTACLES.values(), ids=OBSTACLES)
def test_obstacle_to_the_end_is_logged_and_the_lab_ends(spawn: Spawn, tmp_path: Path, obstacle: str) -> None:
    settings = tmp_path / "home" / ".jupyter"
    settings.mkdir(parents=True)
    (settings / "jupyter_server_config.py").write_text(CONFIGURATION.format(obstacle))
    lab = spawn()
    lab.process.terminate()
    assert lab.process.wait(STOP_SECONDS + 10) == 1
    assert "Timeout (0:00:09.500000)!" in (tmp_path / "lab.log").read_text()
