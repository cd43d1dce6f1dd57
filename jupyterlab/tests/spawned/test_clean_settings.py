"""Tests of labs that start with clean settings: the lab moves the user's settings into a dated folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from labtesting.browser import open_browser
from labtesting.hub_process import free_ports
from labtesting.labclient import PROMPT, LabClient, SpawnedLab
from labtesting.logevents import assert_log_events
from playwright.sync_api import expect

from tools.demo import USER, Hub
from tools.parts import ALONE, prepare

Spawn = Callable[..., SpawnedLab]
ENDS_THE_SERVER = "import os\nos._exit(3)\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Create a home with two settings: one ends each lab that reads it, and one is for kernels."""
    home = tmp_path / "home"
    for file, text in {
        ".jupyter/jupyter_server_config.py": ENDS_THE_SERVER,
        ".ipython/profile_default/startup/00.py": "mine = 1\n",
    }.items():
        (home / file).parent.mkdir(parents=True)
        (home / file).write_text(text)
    return home


def moved_folder(home: Path) -> Path:
    """Return the folder in the home with the moved settings, and check that only one such folder exists."""
    (folder,) = home.glob("settings-*")
    return folder


def test_clean_start_moves_settings_that_end_the_lab(spawn: Spawn, home: Path) -> None:
    lab = spawn(LAB_CLEAN_SETTINGS="1")
    folder = moved_folder(home)
    assert (folder / "jupyter" / "jupyter_server_config.py").read_text() == ENDS_THE_SERVER
    (notice,) = lab.notices()
    assert (notice["id"], notice["level"]) == ("clean-settings", "info")
    assert f"Your settings were moved to ~/{folder.name}." in str(notice["text"])
    assert len(str(notice["text"])) <= 140
    with lab.client.kernel("python3") as kernel:
        assert kernel.execute("mine").error.startswith("NameError")
        assert kernel.execute("import os; print(os.environ.get('LAB_CLEAN_SETTINGS'))").stdout == "None\n"
    with lab.client.terminal() as terminal:
        assert folder.name in terminal.read_until(PROMPT).replace("\r\n", "")


def test_the_next_lab_moves_nothing(spawn: Spawn, home: Path) -> None:
    first = spawn(LAB_CLEAN_SETTINGS="1")
    first.process.terminate()
    first.process.wait()
    (home / ".jupyter").mkdir(exist_ok=True)
    (home / ".jupyter" / "jupyter_server_config.py").write_text("c.ServerApp.root_dir = '/nope'\n")
    lab = spawn(LAB_CLEAN_SETTINGS="0")
    assert moved_folder(home).is_dir()
    (notice,) = lab.notices()
    assert str(notice["text"]).startswith("Your lab does not use ~/.jupyter/jupyter_server_config.py")


def test_a_clean_start_without_settings_shows_no_notice(spawn: Spawn, tmp_path: Path) -> None:
    lab = spawn(LAB_CLEAN_SETTINGS="1")
    assert lab.notices() == []
    assert list((tmp_path / "home").glob("settings-*")) == []


def test_a_clean_start_is_logged(spawn: Spawn, home: Path, tmp_path: Path) -> None:
    spawn(LAB_CLEAN_SETTINGS="1", LAB_LOG="json", USER="vera")
    events = assert_log_events((tmp_path / "lab.log").read_text().splitlines())
    text = f"the settings .jupyter, .ipython were moved to {moved_folder(home)}"
    assert [event["log.level"] for event in events if event["message"] == text] == ["warning"]


def test_the_page_shows_where_the_settings_are(spawn: Spawn, home: Path, screenshots: Path) -> None:
    lab = spawn(LAB_CLEAN_SETTINGS="1")
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"{lab.client.url}{lab.client.base}lab")
        notification = page.locator(".Toastify__toast")
        expect(notification).to_contain_text(moved_folder(home).name, timeout=180_000)
        expect(notification).to_be_in_viewport(ratio=1)
        assert "…" not in notification.inner_text()
        page.screenshot(path=screenshots / "notice-clean-settings.png")


def test_the_file_browser_lists_the_moved_settings(spawn: Spawn, home: Path) -> None:
    lab = spawn(LAB_CLEAN_SETTINGS="1")
    # In this test, the root folder of the lab's file browser is tmp_path, which contains the folder `home`.
    folder = lab.client.request("GET", f"api/contents/home/{moved_folder(home).name}").json()
    assert {file["name"] for file in folder["content"]} == {"README.txt", "ipython", "jupyter"}


def test_standalone_hub_requests_a_clean_start_once(tmp_path: Path) -> None:
    home = tmp_path / "home" / USER
    hub = Hub(prepare(*ALONE), tmp_path, free_ports(1)[0], environ={"LAB_CLEAN_SETTINGS": "1"})
    try:
        hub.wait_until_ready()
        (home / ".jupyter").mkdir(parents=True)
        (home / ".jupyter" / "jupyter_server_config.py").write_text(ENDS_THE_SERVER)
        with LabClient(hub.url, USER) as client:
            client.log_in(hub.password).raise_for_status()
            client.spawn()
            (notice,) = client.request("GET", "lsstlab/notices").json()
            assert moved_folder(home).name in notice["text"]
            (home / ".jupyter").mkdir(exist_ok=True)
            client.http.delete(f"/hub/api/users/{USER}/server", headers={"X-XSRFToken": client._xsrf("/hub/")})
            client.spawn()
            assert client.request("GET", "lsstlab/notices").json() == []
            assert moved_folder(home).is_dir()
    finally:
        hub.stop()
