"""Tests of JupyterHub's handlers that the hub replaces, and of a hub with an untested JupyterHub or SQLAlchemy."""

from __future__ import annotations

import os
from importlib.metadata import distribution
from pathlib import Path

import pytest
from labtesting.hub_process import free_ports, wait_until

from hub.tests.integration.conftest import CONFIG, run_site
from hub.tests.integration.test_announcement import KUBECONFIG, PROGRAM, WHOLE

HANDLERS = """
from jupyterhub.apihandlers import default_handlers
from jupyterhub.spawner import SimpleLocalProcessSpawner
from labhub._patches import jupyterhub_handlers
from labhub.web import activity_reports

def notify_report(spawner):
    with open("reports", "a") as file:
        file.write(spawner.user.name)

SimpleLocalProcessSpawner.notify_report = notify_report
activity_reports.LabSpawner = SimpleLocalProcessSpawner
ours = jupyterhub_handlers.ActivityHandler
default_handlers[:0] = [route for route in jupyterhub_handlers.ROUTES if route[1] is ours]
c.JupyterHub.tornado_settings.update({"slow_spawn_timeout": 0})
"""

# Settings with the hook that `LabHub.check_labs` sets if the version of JupyterHub is untested
PAUSE = """
from labhub.web.spawn import refuse_during_pause
SimpleLocalProcessSpawner.recovered_pod = None
c.SimpleLocalProcessSpawner.pre_spawn_hook = refuse_during_pause
"""


def test_a_report_notifies_only_a_pending_start(tmp_path: Path) -> None:
    report = {"last_activity": "2026-11-27T00:00:00Z"}
    reports = tmp_path / "reports"
    with run_site(tmp_path, CONFIG + HANDLERS) as site:
        site.member("bo")
        site.member("ada")
        site.hub.api("POST", "/users/ada/server")
        for name in ("bo", "ada"):
            site.hub.api("POST", f"/users/{name}/activity", json=report)
        wait_until(lambda: site.lab_runs("ada"), "the lab runs")
        notified = reports.read_text()
        assert "bo" not in notified
        assert notified.startswith("ada")
        site.hub.api("POST", "/users/ada/activity", json=report)
        assert reports.read_text() == notified


def make_version(folder: Path, package: str) -> None:
    """Write metadata of an installed package with version 99.0.

    If the folder is the first on the import path, Python reports this version instead of the real one.
    """
    metadata = folder / f"{package}-99.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 99.0\n")
    if entry_points := distribution(package).read_text("entry_points.txt"):
        (metadata / "entry_points.txt").write_text(entry_points)


@pytest.mark.parametrize("package", ["jupyterhub", "sqlalchemy"])
def test_a_hub_with_an_untested_version_warns_once_and_works(tmp_path: Path, package: str) -> None:
    make_version(tmp_path / "path", package)
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    [port] = free_ports(1)
    environment = {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(tmp_path / "path"), os.environ.get("PYTHONPATH", "")])),
        "KUBECONFIG": str(tmp_path / "kubeconfig"),
    }
    config = CONFIG.replace("apply_patches(logging.getLogger())", "") + WHOLE % port + PAUSE
    with run_site(tmp_path, config, PROGRAM, **environment) as site:
        visitor, _ = site.member("ada")
        site.hub.api("POST", "/users/ada/server")
        wait_until(lambda: site.lab_runs("ada"), "the lab runs")
        assert visitor.get("/hub/home").status_code == 200
        assert visitor.get("/hub/api/announcement").json()["message"] == ""
        site.stop_lab("ada")
        site.hub.api("PUT", "/announcement", json={"message": "Maintenance", "spawning": "stopped"})
        site.hub.api("POST", "/users/ada/server")
        wait_until(lambda: "No new lab can start now: Maintenance" in site.hub.log, "the hub refuses the start")
        assert not site.lab_runs("ada")
        warnings = [line for line in site.hub.log.splitlines() if "was not tested with this release" in line]
        assert len(warnings) == 1
        assert f"{package} 99.0 was not tested with this release (tested: " in warnings[0]
        assert '"log.level": "warning"' in warnings[0]
