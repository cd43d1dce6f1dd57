"""Tests of the demo `nox -s demo -- --github`: logins of several users, and labs as processes on this machine."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from labtesting.hub_process import free_ports
from labtesting.visitor import Visitor

from tools.parts import ROOT


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which the demo stores its state."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def url(state: Path) -> Iterator[str]:
    """Start the demo, and return the URL of the demo's hub."""
    options = ["--github", "--port", str(free_ports(1)[0]), "--state", str(state)]
    demo = subprocess.Popen([sys.executable, "-m", "tools.demo", *options], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert demo.stdout is not None
        printed = ""
        while "Ctrl-C" not in printed and (line := demo.stdout.readline()):
            printed += line
        address = re.search(r"http://127\.0\.0\.1:\d+", printed)
        assert address, printed
        yield address[0]
    finally:
        demo.terminate()
        assert demo.communicate(timeout=180)[0].endswith("Stopped.\n")


def test_member_logs_in_and_has_the_stack_kernel(url: str) -> None:
    with Visitor(url, "ada") as ada:
        assert ada.log_in().status_code == 200
        ada.spawn("ada")
        kernels = ada.get("/user/ada/api/kernelspecs").json()["kernelspecs"]
        assert "lsst_stack" in kernels


def test_each_user_has_an_own_layout(url: str, state: Path) -> None:
    for login in ("ada", "cleo"):
        with Visitor(url, login) as visitor:
            assert visitor.log_in().status_code == 200
            visitor.spawn(login)
    assert {path.name for path in (state / "scratch").iterdir() if path.is_dir()} >= {"ada", "cleo"}
    assert not (state / "scratch/workspaces").exists()


def test_outsider_sees_the_allowed_organization(url: str) -> None:
    with Visitor(url, "eve") as eve:
        page = eve.log_in()
        assert page.status_code == 403
        assert "lsst-sqre" in page.text
        assert not eve.is_logged_in()
