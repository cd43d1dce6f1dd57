"""Tests of the function that moves the user's settings into a dated folder.

The tests in `image/test_spawned.py` use a mounted folder, which cannot be moved.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from lsstlab.clean_settings import CleanSettingsError, MovedSettings, move_settings, wants_clean_settings

NOW = datetime(2026, 11, 30, 12, 7, 35, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Create a home with settings of Jupyter and IPython, and with two other files."""
    settings = (".jupyter/jupyter_server_config.py", ".ipython/startup.py", ".local/lib/a.py")
    for file in (*settings, "work.ipynb", ".bashrc"):
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file)
    return tmp_path


def read_files(folder: Path) -> dict[str, str]:
    """Return the text of each file in a folder and its subfolders, by the relative path of the file."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_settings_are_moved_and_other_files_stay(home: Path) -> None:
    result = move_settings(home, NOW)
    assert result == MovedSettings(home / "settings-2026-11-30-120735", (".jupyter", ".ipython", ".local"))
    files = read_files(home)
    assert "Nothing was deleted." in files.pop("settings-2026-11-30-120735/README.txt")
    assert files == {
        "settings-2026-11-30-120735/jupyter/jupyter_server_config.py": ".jupyter/jupyter_server_config.py",
        "settings-2026-11-30-120735/ipython/startup.py": ".ipython/startup.py",
        "settings-2026-11-30-120735/local/lib/a.py": ".local/lib/a.py",
        "work.ipynb": "work.ipynb",
        ".bashrc": ".bashrc",
    }
    assert result.folder.stat().st_mode & 0o077 == 0


def test_a_second_move_keeps_the_first(home: Path) -> None:
    first = move_settings(home, NOW)
    (home / ".jupyter").mkdir()
    (home / ".jupyter" / "new.py").write_text("new")
    second = move_settings(home, NOW)
    assert (second.folder.name, second.moved) == ("settings-2026-11-30-120735-2", (".jupyter",))
    assert read_files(second.folder / "jupyter") == {"new.py": "new"}
    assert read_files(first.folder / "jupyter") == {"jupyter_server_config.py": ".jupyter/jupyter_server_config.py"}


def test_a_home_without_settings_gets_no_folder(tmp_path: Path) -> None:
    assert move_settings(tmp_path, NOW) == MovedSettings(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_moved_and_its_target_stays(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.mkdir()
    home = tmp_path / "home"
    home.mkdir()
    (home / ".local").symlink_to(target)
    (home / ".ipython").symlink_to("/no/such/folder")
    result = move_settings(home, NOW)
    assert (result.folder / "local").readlink() == target
    assert (result.folder / "ipython").readlink() == Path("/no/such/folder")
    assert target.is_dir()
    assert not (home / ".local").is_symlink()


def test_a_file_with_the_name_of_the_folder_stays(home: Path) -> None:
    (home / "settings-2026-11-30-120735").write_text("mine")
    assert move_settings(home, NOW).folder.name == "settings-2026-11-30-120735-2"
    assert (home / "settings-2026-11-30-120735").read_text() == "mine"


@contextmanager
def without_root() -> Iterator[None]:
    """Run the `with` block as a user other than root, because root may write to each folder."""
    if os.getuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_settings_stay_if_the_home_cannot_be_written() -> None:
    with TemporaryDirectory() as folder:
        home = Path(folder)
        (home / ".jupyter").mkdir()
        home.chmod(0o555)
        with without_root():
            assert move_settings(home, NOW) == MovedSettings(home, failed={".jupyter": "Permission denied"})
        assert [path.name for path in home.iterdir()] == [".jupyter"]
        home.chmod(0o755)


def test_the_commands_of_the_readme_restore_the_settings(home: Path) -> None:
    before = read_files(home)
    folder = move_settings(home, NOW).folder
    (home / ".jupyter").mkdir()
    (home / ".jupyter" / "of-the-clean-lab.py").write_text("new")
    commands = re.findall(r"^    (cd; .*)$", (folder / "README.txt").read_text(), re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        subprocess.run(["bash", "-c", command], env={"HOME": str(home), "PATH": "/usr/bin:/bin"}, check=True)
    files = read_files(home)
    del files[f"{folder.name}/README.txt"]
    assert files == before | {".jupyter.~1~/of-the-clean-lab.py": "new"}


@pytest.mark.parametrize(("value", "wanted"), [(None, False), ("", False), ("0", False), ("1", True)])
def test_the_variable_requests_clean_settings(value: str | None, wanted: bool) -> None:
    assert wants_clean_settings({} if value is None else {"LAB_CLEAN_SETTINGS": value}) == wanted


def test_unknown_value_is_refused() -> None:
    with pytest.raises(CleanSettingsError, match="LAB_CLEAN_SETTINGS: found 'yes', wanted 0 or 1"):
        wants_clean_settings({"LAB_CLEAN_SETTINGS": "yes"})
