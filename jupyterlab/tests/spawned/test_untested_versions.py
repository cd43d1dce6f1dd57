"""Tests of a lab with an untested version of a project that it patches.

The lab logs one warning, does not apply the patches, and works.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from labtesting.labclient import PROMPT, SpawnedLab
from labtesting.logevents import assert_log_events
from labtesting.versions import UNTESTED, fake_version
from lsstlab._patches import jupyter_server, jupyterhub, jupyterlab_server, terminado, tornado

Spawn = Callable[..., SpawnedLab]
PROJECTS = [jupyter_server, jupyterhub, jupyterlab_server, terminado, tornado]


def warning_for(patches: ModuleType) -> str:
    """Return the warning that the lab must log if the version of a project is not tested.

    Parameters
    ----------
    patches
        The module with the patches of the project.
    """
    return (
        f"{patches.PROJECT} {UNTESTED} was not tested with this release (tested: {', '.join(patches.TESTED)}): "
        f"its patches are not applied; {patches.EFFECT}"
    )


def check_use(lab: SpawnedLab) -> None:
    """Check that a user can work: the lab's API answers, a kernel runs code, and a terminal shows its prompt."""
    assert lab.client.request("GET", "api").json()["version"]
    with lab.client.kernel("python3") as kernel:
        output = kernel.execute("print(1 + 1)")
        assert (output.stdout, output.error) == ("2\n", "")
    with lab.client.terminal() as terminal:
        assert terminal.read_until(PROMPT)


@pytest.mark.parametrize("patches", PROJECTS, ids=lambda patches: patches.PROJECT)
def test_a_lab_with_one_untested_version_warns_and_works(spawn: Spawn, tmp_path: Path, patches: ModuleType) -> None:
    versions = fake_version(tmp_path / "versions", patches.PROJECT)
    lab = spawn(LAB_LOG="json", USER="vera", PYTHONPATH=str(versions))
    check_use(lab)
    lines = [line for line in (tmp_path / "lab.log").read_text().splitlines() if "was not tested" in line]
    (event,) = assert_log_events(lines)
    assert (event["message"], event["log.level"]) == (warning_for(patches), "warning")


def test_all_warnings_are_plain_lines(spawn: Spawn, tmp_path: Path) -> None:
    versions = fake_version(tmp_path / "versions", *(patches.PROJECT for patches in PROJECTS))
    check_use(spawn(PYTHONPATH=str(versions)))
    lines = [line for line in (tmp_path / "lab.log").read_text().splitlines() if "was not tested" in line]
    assert sorted(lines) == sorted(f"lab: {warning_for(patches)}" for patches in PROJECTS)


def test_open_page_counts_as_use_without_the_patch(spawn: Spawn, tmp_path: Path) -> None:
    lab = spawn(PYTHONPATH=str(fake_version(tmp_path / "versions", jupyter_server.PROJECT)))
    before = lab.last_activity()
    lab.client.request("GET", "api/kernels")
    assert lab.last_activity() > before


def test_with_tested_versions_a_lab_does_not_warn(spawn: Spawn, tmp_path: Path) -> None:
    check_use(spawn(LAB_LOG="json", USER="vera"))
    assert "was not tested" not in (tmp_path / "lab.log").read_text()
