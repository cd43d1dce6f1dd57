"""Tests of containers that start in the same way as spawned labs: with broken homes, settings, and user names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from labtesting.browser import open_browser
from labtesting.container import Container, run_container
from labtesting.hub_process import free_ports
from labtesting.hub_stub import run_hub_stub
from labtesting.labclient import LabClient
from playwright.sync_api import expect

UID = "123456"
# Options of a container with the restrictions of a lab's pod (Pod Security Standard `restricted`). The UID is not in
# the image's /etc/passwd.
RESTRICTED: dict[str, Any] = {
    "user": f"{UID}:{UID}",
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
}
OWN = f"uid={UID},gid={UID},mode=700"
NOTEBOOK = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
GROUPS = {2000 + number: f"org-{number}" for number in range(16)}


@pytest.fixture(scope="module")
def image(request: pytest.FixtureRequest) -> str:
    """Return the name of the lab's image under test, from the option `--image`."""
    name: str = request.config.getoption("--image")
    return name


@contextmanager
def spawned(
    image: str, home: str = OWN, variables: Mapping[str, str] = MappingProxyType({}), **options: Any
) -> Iterator[tuple[LabClient, Container]]:
    """Start a container of the image as a hub spawns a lab, and log in. Yield the client and the container.

    Parameters
    ----------
    image
        Name of the image.
    home
        Mount options of the home, which is in memory.
    variables
        Additional environment variables.
    options
        Additional options of the container.
    """
    (port,) = free_ports(1)
    with run_hub_stub("127.0.0.1") as hub:
        arguments = RESTRICTED | {"tmpfs": {"/tmp": "mode=1777", "/home/vera": home}, **options}
        environment = hub.environment("vera", port, "127.0.0.1") | {"USER": "vera", "LOGNAME": "vera", **variables}
        # The container uses the network of this machine. Otherwise the lab's address would be known only after the
        # start, but the environment that the hub sets contains the address.
        with (
            run_container(image, environment=environment, network_mode="host", **arguments) as container,
            LabClient(f"http://127.0.0.1:{port}", "vera") as client,
        ):
            container.wait_for_page(hub.lab_url("127.0.0.1", "api", port=port))
            client.open_lab()
            yield client, container


def notice(client: LabClient) -> str:
    """Return the text of the lab's notice about its home, and check that it is the lab's only notice."""
    (only,) = client.request("GET", "lsstlab/notices").json()
    assert (only["id"], only["level"]) == ("home", "error")
    return str(only["text"])


def check_use(client: LabClient) -> None:
    """Check that a user can work: read settings, save the page's layout, list files, and run a cell in each kernel."""
    client.request("GET", "lab/api/settings")
    client.request("PUT", "lab/api/workspaces/default", json={"data": {}, "metadata": {"id": "default"}})
    client.request("GET", "api/contents")
    for name in ("python3", "lsst_stack"):
        with client.kernel(name) as kernel:
            output = kernel.execute("print(1 + 1)")
            assert (output.stdout, output.error) == ("2\n", "")


# With `size=512k`, the disk has no space for the file of 1 MB that the home check writes. With `nr_inodes=1`, the disk
# can contain no new file, not even an empty one, as with an NFS server's quota for the number of files.
@pytest.mark.parametrize("room", ["size=512k", "nr_inodes=1"])
def test_full_home_is_used_with_a_notice(image: str, room: str) -> None:
    with spawned(image, f"{OWN},{room}") as (client, container):
        assert notice(client).startswith("Your home is full (No space left on device)")
        check_use(client)
        with client.kernel("python3") as kernel:
            assert kernel.execute("import os; print(os.environ['HOME'], os.getcwd())").stdout == (
                "/home/vera /home/vera\n"
            )
        assert container.execute("find", "/home/vera", "-name", "*probe*") == (0, "")


@pytest.mark.parametrize("home", [f"{OWN},nr_inodes=1", f"{OWN},ro"])
def test_the_page_opens_in_a_full_and_in_a_read_only_home(image: str, home: str) -> None:
    with spawned(image, home) as (client, _), open_browser() as browser:
        page = browser.new_page()
        expect.set_options(timeout=60000)
        page.goto(f"{client.url}{client.base}lab")
        # The test opens a console instead of a notebook, because a full home has no space for a new notebook.
        page.locator(".jp-LauncherCard[data-category=Console]", has_text="LSST_Stack").click()
        expect(page.locator(".jp-CodeConsole")).to_contain_text("IPython")
        expect(page.locator(".Toastify__toast")).to_contain_text("home")
        expect(page.locator(".jp-Dialog")).to_have_count(0)


def test_freed_space_in_a_full_home_is_used(image: str) -> None:
    with spawned(image, f"{OWN},size=512k") as (client, container):
        assert container.execute("dd", "if=/dev/zero", "of=/home/vera/big", "bs=1k", "count=480")[0] == 0
        client.request("DELETE", "api/contents/big")
        client.request("PUT", "api/contents/new.ipynb", json={"type": "notebook", "content": NOTEBOOK})
        client.request("POST", "api/contents/new.ipynb/trust")
        check_use(client)


@pytest.mark.parametrize(
    ("home", "reason"),
    [(f"{OWN},ro", "Read-only file system"), ("uid=0,gid=0,mode=755", "Permission denied")],
)
def test_read_only_home_is_replaced(image: str, home: str, reason: str) -> None:
    with spawned(image, home) as (client, container):
        assert notice(client) == (
            f"Files that you save now are lost when the lab stops. Your home cannot be used ({reason}). "
            "Ask an administrator."
        )
        check_use(client)
        client.request("PUT", "api/contents/new.ipynb", json={"type": "notebook", "content": NOTEBOOK})
        found = container.execute("ls", f"/tmp/lab-{UID}/home")[1].split()
        assert {"new.ipynb", "notebooks", "read-only-home"} <= set(found)


def test_home_contains_no_database_and_no_layout(image: str) -> None:
    with spawned(image) as (client, container):
        check_use(client)
        client.request("PUT", "api/contents/new.ipynb", json={"type": "notebook", "content": NOTEBOOK})
        client.request("POST", "api/contents/new.ipynb/trust")
        names = ["*.db", "*.sqlite", "*.jupyterlab-workspace", "notebook_secret"]
        wanted = [word for name in names for word in ("-o", "-name", name)][1:]
        find = ("find", "/tmp", "/home/vera", "(", *wanted, ")", "-printf", "%h/%f\n")
        found = set(container.execute(*find)[1].split())
        scratch = f"/tmp/lab-{UID}"
        assert {f"{scratch}/nbsignatures.db", f"{scratch}/notebook_secret"} <= found
        assert f"{scratch}/ipython_history.sqlite" in found
        assert any(path.startswith(f"{scratch}/workspaces/") for path in found)
        assert [path for path in found if path.startswith("/home")] == []


def write_settings(home: Path) -> None:
    """Write wrong settings into a home. All users, and so the UID of the lab, may change the files."""
    for file, text in {
        ".jupyter/jupyter_server_config.py": 'c.ServerApp.root_dir = "/nope"\n',
        ".local/share/jupyter/kernels/python3/kernel.json": "{",
    }.items():
        (home / file).parent.mkdir(parents=True)
        (home / file).write_text(text)
    for path in (home, *home.rglob("*")):
        path.chmod(0o777)


def in_folder(home: Path, **folders: Path) -> dict[str, Any]:
    """Return options of a container that mount a folder of this machine as the home.

    Each argument of `folders` mounts one more folder in the home: `local` mounts it as `~/.local`.
    """
    mounts = {str(home): "/home/vera"} | {str(path): f"/home/vera/.{name}" for name, path in folders.items()}
    return {
        "tmpfs": {"/tmp": "mode=1777"},
        "volumes": {path: {"bind": bind, "mode": "rw"} for path, bind in mounts.items()},
    }


def test_lab_starts_without_broken_user_settings(image: str, tmp_path: Path) -> None:
    write_settings(tmp_path / "home")
    with spawned(image, **in_folder(tmp_path / "home")) as (client, _):
        assert "python3" not in client.request("GET", "api/kernelspecs").json()["kernelspecs"]
        texts = [notice["text"] for notice in client.request("GET", "lsstlab/notices").json()]
    assert texts[0].startswith("Your lab does not use ~/.jupyter/jupyter_server_config.py: No such directory")
    assert texts[1].startswith("Your lab does not use the kernel python3: Expecting property name")


def test_clean_settings_ignore_a_mounted_folder(image: str, tmp_path: Path) -> None:
    home, mounted = tmp_path / "home", tmp_path / "mounted"
    write_settings(home)
    (home / ".local").rename(mounted)
    (home / ".local").mkdir()
    with spawned(image, variables={"LAB_CLEAN_SETTINGS": "1"}, **in_folder(home, local=mounted)) as (client, _):
        check_use(client)
        texts = [notice["text"] for notice in client.request("GET", "lsstlab/notices").json()]
    assert texts[0].startswith("Your settings were moved to ~/settings-")
    # Linux reports a mounted folder as busy, or as denied if root owns the folder below the mount.
    (text,) = texts[1:]
    assert text.startswith("Your lab does not use ~/.local, because the lab could not move it away: ")
    (folder,) = home.glob("settings-*")
    assert {path.name for path in folder.iterdir()} == {"README.txt", "jupyter"}
    assert (mounted / "share/jupyter/kernels/python3/kernel.json").read_text() == "{"


@pytest.fixture
def names(image: str, tmp_path: Path) -> dict[str, dict[str, str]]:
    """Return volumes that mount an /etc/passwd and an /etc/group, as the hub does.

    The files contain the lines of the image's files, and then lines for the user and the user's groups.
    """
    lines = {
        "passwd": [f"vera:x:{UID}:{UID}::/home/vera:/bin/bash"],
        "group": [f"vera:x:{UID}:", *(f"{name}:x:{gid}:vera" for gid, name in GROUPS.items())],
    }
    volumes = {}
    for name, own in lines.items():
        with run_container(image, "cat", f"/etc/{name}") as container:
            container.docker.wait(timeout=180)
            (tmp_path / name).write_text(container.log() + "\n".join(own) + "\n")
        volumes[str(tmp_path / name)] = {"bind": f"/etc/{name}", "mode": "ro"}
    return volumes


def test_the_user_and_all_groups_have_their_names(image: str, names: dict[str, dict[str, str]]) -> None:
    with (
        spawned(image, volumes=names, group_add=[str(gid) for gid in GROUPS]) as (client, _),
        client.terminal() as terminal,
    ):
        shown = terminal.read_until("$ ")
        assert "vera@" in shown
        assert "I have no name" not in shown
        assert "cannot find name" not in shown
        terminal.type("cd; printf '%s, ' $(id -un) $(id -gn) ~ ~vera $PWD $(id -Gn); echo 'the' end")
        lines = terminal.read_until(", the end").splitlines()  # other lines before the answer can contain a prompt
        answer = next(line for line in lines if line.endswith(", the end")).split(", ")
        assert answer[:5] == ["vera", "vera", "/home/vera", "/home/vera", "/home/vera"]
        assert set(answer[5:-1]) == {"vera", *GROUPS.values()}
