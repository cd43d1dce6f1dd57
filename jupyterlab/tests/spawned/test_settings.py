"""Tests of a spawned lab with mistakes in the user's settings.

The lab starts without the wrong settings, and shows a notice with the reason.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from labtesting.browser import open_browser
from labtesting.hub_process import wait_until
from labtesting.labclient import PROMPT, SpawnedLab
from playwright.sync_api import expect

Spawn = Callable[..., SpawnedLab]
PACKAGES = f".local/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
SERVER_CONFIG = ".jupyter/jupyter_server_config.py"
PAGE_SETTINGS = ".jupyter/lab/user-settings/@jupyterlab/apputils-extension/themes.jupyterlab-settings"
WRONG_ROOT = 'c.ServerApp.root_dir = "/nope"\n'
# Server settings that let Jupyter Server import packages from ~/.local. Some users need this for their server
# extensions.
USER_PACKAGES = f"import os, sys\nsys.path.insert(0, os.path.expanduser('~/{PACKAGES}'))\n"


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Return a function that writes a file into the user's home and returns the path of the file."""

    def write(path: str, text: str | bytes) -> Path:
        file = tmp_path / "home" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    return write


Write = Callable[[str, str | bytes], Path]


def check_use(lab: SpawnedLab) -> None:
    """Check that the JupyterLab page opens, that its settings can be read, and that a kernel runs."""
    assert "jupyter-config-data" in lab.client.request("GET", "lab").text
    assert lab.client.request("GET", "lab/api/settings").json()["settings"]
    with lab.client.kernel("python3") as kernel:
        assert kernel.execute("print(1 + 1)").stdout == "2\n"


def notice_text(lab: SpawnedLab) -> str:
    """Return the text of the lab's notice. Check that the lab has one notice, and that its text is short enough."""
    (notice,) = lab.notices()
    assert notice["level"] == "warning"
    text = str(notice["text"])
    assert len(text) <= 140, "JupyterLab cuts the text"
    return text


def test_a_lab_with_a_wrong_root_starts_without_settings(spawn: Spawn, write: Write, tmp_path: Path) -> None:
    file = write(SERVER_CONFIG, WRONG_ROOT)
    lab = spawn()
    check_use(lab)
    text = notice_text(lab)
    assert text.startswith(f"Your lab does not use ~/{SERVER_CONFIG}: No such directory: ")
    assert text.endswith("Fix it, then restart your lab.")
    with lab.client.terminal() as terminal:
        assert text in terminal.read_until(PROMPT).replace("\r\n", "")
    assert file.read_text() == WRONG_ROOT
    assert "the lab does not start with the settings in ~/.jupyter" in (tmp_path / "lab.log").read_text()


def test_several_files_of_settings_are_ignored_together(spawn: Spawn, write: Write) -> None:
    write(SERVER_CONFIG, WRONG_ROOT)
    write(".jupyter/jupyter_lab_config.py", "c.LabApp.default_url = '/lab/tree/notebooks'\n")
    text = notice_text(spawn())
    assert text.startswith("Your lab does not use the server settings in ~/.jupyter: No such directory: ")
    assert text.endswith("Fix them, then restart your lab.")


def test_a_file_with_a_syntax_error_is_named(spawn: Spawn, write: Write) -> None:
    write(SERVER_CONFIG, "c.ServerApp.root_dir = = 3\n")
    write(".jupyter/jupyter_lab_config.py", "c.LabApp.default_url = '/lab/tree/notebooks'\n")
    lab = spawn()
    assert notice_text(lab).startswith(f"Your lab does not use ~/{SERVER_CONFIG}: SyntaxError: invalid syntax")
    with lab.client.terminal() as terminal:
        assert "(jupyter_server_config.py, line 1)" in terminal.read_until(PROMPT).replace("\r\n", "")
    check_use(lab)


def test_package_that_shadows_a_server_package_is_ignored(spawn: Spawn, write: Write) -> None:
    write(SERVER_CONFIG, USER_PACKAGES)
    write(f"{PACKAGES}/jupyterlab_server/__init__.py", "raise ImportError('shadow')\n")
    lab = spawn()
    check_use(lab)
    assert notice_text(lab).startswith(f"Your lab does not use ~/{SERVER_CONFIG}: the extension jupyterlab failed: ")


def test_packages_in_the_home_do_not_reach_the_server(spawn: Spawn, write: Write) -> None:
    for name in ("tornado/__init__.py", "traitlets.py", "jupyter_server.py", "usercustomize.py"):
        write(f"{PACKAGES}/{name}", "raise SystemExit('shadow')\n")
    write(f"{PACKAGES}/broken.pth", "import no_such_module\n")
    lab = spawn()
    check_use(lab)
    assert lab.notices() == []


@pytest.mark.parametrize(
    ("path", "text", "reason"),
    [
        (SERVER_CONFIG, 'c.ServerApp.iopub_data_rate_limit = "much"\n', "iopub_data_rate_limit"),
        (SERVER_CONFIG, 'c.ServerApp.contents_manager_class = "nope.Nope"\n', "contents_manager_class"),
        (SERVER_CONFIG, "import sys\nsys.exit()\n", "exit status None"),
        (".jupyter/jupyter_config.py", WRONG_ROOT, "No such directory"),
        (".jupyter/jupyter_lab_config.py", "c.LabApp.settings_url = 5\n", "settings_url"),
        (".jupyter/jupyter_server_config.json", '{"ServerApp": {"root_dir": "/nope"}}', "No such directory"),
        (".jupyter/jupyter_server_config.json", "[]", "'list' object"),
        (".jupyter/jupyter_server_config.d/mine.json", b"\xff", "'utf-8' codec"),
        (".jupyter/labconfig/page_config.json", "[1]", "the extension jupyterlab failed"),
        (".ipython/profile_default/ipython_notebook_config.py", "c = = 3\n", "invalid syntax"),
    ],
)
def test_settings_that_prevent_the_start_are_ignored(
    spawn: Spawn, write: Write, path: str, text: str | bytes, reason: str
) -> None:
    write(path, text)
    lab = spawn()
    assert "jupyter-config-data" in lab.client.request("GET", "lab").text
    (notice,) = lab.notices()
    assert notice["id"] == f"settings-~/{path}"
    assert reason in str(notice["terminal_text"])


def test_the_page_opens_if_its_extension_is_disabled(spawn: Spawn, write: Write) -> None:
    # `jupyter server extension disable jupyterlab --user` writes this file.
    disabled = '{"ServerApp": {"jpserver_extensions": {"jupyterlab": false}}}'
    write(".jupyter/jupyter_server_config.json", disabled)
    lab = spawn(JUPYTER_PREFER_ENV_PATH="0")  # as in the image, whose Python environment the user cannot write
    check_use(lab)
    assert notice_text(lab).endswith(": the extension jupyterlab is disabled. Fix it, then restart your lab.")


@pytest.mark.parametrize(
    ("path", "text", "source"),
    [
        (".jupyter/jupyter_server_config.json", '{"ServerApp": ', "~/.jupyter/jupyter_server_config.json"),
        (".jupyter/jupyter_server_config.d/mine.json", "{", "~/.jupyter/jupyter_server_config.d/mine.json"),
        (
            ".jupyter/jupyter_server_config.d/mine.json",
            '{"ServerApp": {"jpserver_extensions": {"no_such_module": true}}}',
            "the server extension no_such_module",
        ),
    ],
)
def test_skipped_file_is_named(spawn: Spawn, write: Write, path: str, text: str, source: str) -> None:
    write(path, text)
    lab = spawn()
    assert notice_text(lab).startswith(f"Your lab does not use {source}: ")


def test_a_broken_kernel_of_the_user_is_named(spawn: Spawn, write: Write) -> None:
    write(".local/share/jupyter/kernels/mine/kernel.json", "{")
    lab = spawn()
    assert set(lab.client.request("GET", "api/kernelspecs").json()["kernelspecs"]) >= {"python3"}
    assert notice_text(lab).startswith("Your lab does not use the kernel mine: Expecting property name")


def test_a_kernel_that_ends_at_each_start_is_named(spawn: Spawn, write: Write) -> None:
    write(".ipython/profile_default/ipython_kernel_config.py", "c.InteractiveShell.autocall = 'x'\n")
    lab = spawn()
    lab.client.request("POST", "api/kernels", json={"name": "python3"})
    wait_until(lambda: lab.notices() != [], "the lab shows that the kernel ends")
    assert notice_text(lab).startswith("The kernel python3 ends when it starts.")


def test_the_page_opens_with_broken_page_settings(spawn: Spawn, write: Write) -> None:
    file = write(PAGE_SETTINGS, '{"theme": ')
    lab = spawn()
    check_use(lab)
    assert notice_text(lab).startswith("Your lab does not use themes.jupyterlab-settings: <string>:1 Unexpected end")
    file.write_text('{"theme": "JupyterLab Dark"}')
    assert lab.client.request("GET", "lab/api/settings").json()["settings"]
    assert lab.notices() == []


def test_the_launcher_opens_and_names_the_broken_file(spawn: Spawn, write: Write, screenshots: Path) -> None:
    write(PAGE_SETTINGS, '{"theme": ')
    lab = spawn()
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"{lab.client.url}{lab.client.base}lab")
        expect(page.locator(".jp-LauncherCard").first).to_be_visible(timeout=180_000)
        notification = page.locator(".Toastify__toast")
        expect(notification).to_contain_text("Your lab does not use themes.jupyterlab-settings")
        expect(notification).to_be_in_viewport(ratio=1)
        page.screenshot(path=screenshots / "notice-settings.png")


def test_the_page_opens_with_a_fifo_as_page_settings(spawn: Spawn, write: Write) -> None:
    file = write(PAGE_SETTINGS, "")
    file.unlink()
    os.mkfifo(file)
    lab = spawn()
    check_use(lab)
    assert notice_text(lab).startswith("Your lab does not use themes.jupyterlab-settings: OSError: not a file.")


def test_saving_page_settings_keeps_the_broken_ones(spawn: Spawn, write: Write) -> None:
    file = write(PAGE_SETTINGS, "{mine")
    write(f"{PAGE_SETTINGS}.broken", "{an earlier one")
    lab = spawn()
    url = "lab/api/settings/@jupyterlab/apputils-extension:themes"
    assert lab.client.request("GET", url).json()["settings"] == {}
    lab.client.request("PUT", url, json={"raw": '{"theme": "JupyterLab Dark"}'})
    assert lab.client.request("GET", url).json()["settings"] == {"theme": "JupyterLab Dark"}
    assert lab.notices() == []
    kept = {path.suffix: path.read_text() for path in file.parent.iterdir()}
    assert kept == {
        ".jupyterlab-settings": '{"theme": "JupyterLab Dark"}',
        ".broken": "{an earlier one",
        ".broken-2": "{mine",
    }


@pytest.mark.parametrize(
    "text", ["", '{"name": ', "[]", '{"name": "mine", "version": "1", "jupyterlab": {"_build": {}}}']
)
def test_the_page_opens_with_a_broken_extension(spawn: Spawn, write: Write, text: str) -> None:
    write(".local/share/jupyter/labextensions/mine/package.json", text)
    lab = spawn()
    check_use(lab)
    assert "does not use the extensions in ~/.local/share/jupyter/labextensions: " in notice_text(lab)


def test_the_page_opens_with_a_broken_page_configuration(spawn: Spawn, write: Write) -> None:
    write(".jupyter/labconfig/page_config.json", '{"disabledExtensions": 5}')
    lab = spawn()
    check_use(lab)
    assert notice_text(lab).startswith("Your lab does not use ~/.jupyter/labconfig: ")


def test_lab_without_its_settings_stops_normally(spawn: Spawn, write: Write) -> None:
    write(SERVER_CONFIG, WRONG_ROOT)
    lab = spawn()
    lab.process.terminate()
    assert lab.process.wait(180) == 0


def test_the_page_keeps_its_settings_without_those_of_the_server(spawn: Spawn, write: Write) -> None:
    write(SERVER_CONFIG, WRONG_ROOT)
    file = write(PAGE_SETTINGS, '{"theme": "JupyterLab Dark"}')
    lab = spawn()
    url = "lab/api/settings/@jupyterlab/apputils-extension:themes"
    assert lab.client.request("GET", url).json()["settings"] == {"theme": "JupyterLab Dark"}
    lab.client.request("PUT", url, json={"raw": "{}"})
    assert file.read_text() == "{}"


def test_settings_without_a_mistake_are_used(spawn: Spawn, write: Write, tmp_path: Path) -> None:
    root = tmp_path / "home" / "root"
    root.mkdir(parents=True)
    (root / "mine.txt").touch()
    write(SERVER_CONFIG, f"c.ServerApp.root_dir = {str(root)!r}\n")
    lab = spawn()
    check_use(lab)
    assert [file["name"] for file in lab.client.request("GET", "api/contents").json()["content"]] == ["mine.txt"]
    assert lab.notices() == []
