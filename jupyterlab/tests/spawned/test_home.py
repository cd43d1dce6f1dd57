"""Tests of a spawned lab whose home is missing. The tests in `image/test_spawned.py` use full and read-only homes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from labtesting.labclient import PROMPT, SpawnedLab

Spawn = Callable[..., SpawnedLab]


def test_a_lab_without_its_home_starts_with_another(spawn: Spawn, tmp_path: Path) -> None:
    lab = spawn(HOME=str(tmp_path / "missing"))
    (notice,) = lab.notices()
    assert (notice["id"], notice["level"]) == ("home", "error")
    with lab.client.kernel("python3") as kernel:
        output = kernel.execute("from pathlib import Path; import os; print(Path.home(), os.environ['LAB_SCRATCH'])")
    home, scratch = output.stdout.split()
    assert home == f"{scratch}/home"
    lab.client.request("PUT", "api/contents/new.txt", json={"type": "file", "format": "text", "content": "x"})
    assert (Path(home) / "new.txt").read_text() == "x"
    setting = "@jupyterlab/apputils-extension:themes"
    lab.client.request("PUT", f"lab/api/settings/{setting}", json={"raw": "{}"})
    assert list(Path(home).glob(".jupyter/lab/user-settings/**/themes.jupyterlab-settings"))
    assert not (tmp_path / "missing").exists()


def test_each_terminal_shows_the_home_notice(spawn: Spawn, tmp_path: Path) -> None:
    lab = spawn(HOME=str(tmp_path / "missing"))
    with lab.client.terminal() as terminal:
        assert "Files that you save now are lost when the lab stops." in terminal.read_until(PROMPT).replace("\r\n", "")


def test_a_sound_home_is_used_without_a_notice(spawn: Spawn, tmp_path: Path) -> None:
    lab = spawn()
    assert lab.notices() == []
    first = {path.name for path in Path("/etc/skel").iterdir()}
    created = {path.name for path in (tmp_path / "home").iterdir()}
    assert created <= first | {"notebooks", ".ipython", ".jupyter", ".local"}
