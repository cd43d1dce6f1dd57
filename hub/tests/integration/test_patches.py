"""Calls of JupyterHub's API in whose place ours stand, at a real hub."""

from __future__ import annotations

from pathlib import Path

from labtesting.hub_process import wait_until

from hub.tests.integration.conftest import CONFIG, run_site

OURS = """
from jupyterhub.apihandlers import default_handlers
from jupyterhub.spawner import SimpleLocalProcessSpawner
from labhub.web import spawn as pages

def look(spawner):
    with open("looks", "a") as file:
        file.write(spawner.user.name)

SimpleLocalProcessSpawner.look = look
pages.LabSpawner = SimpleLocalProcessSpawner
pages.ProgressCall.keepalive_interval = 0.1
default_handlers[:0] = [one for one in pages.HANDLERS if one[1] in {pages.ActivityCall, pages.ProgressCall}]
c.JupyterHub.tornado_settings.update({"slow_spawn_timeout": 0})
"""


def test_a_report_of_activity_has_the_hub_look_at_a_lab_that_it_waits_for_and_at_no_other(tmp_path: Path) -> None:
    report = {"last_activity": "2026-11-27T00:00:00Z"}
    looks = tmp_path / "looks"
    with run_site(tmp_path, CONFIG + OURS) as site:
        site.member("bo")
        site.member("ada")
        site.hub.api("POST", "/users/ada/server")
        for name in ("bo", "ada"):
            site.hub.api("POST", f"/users/{name}/activity", json=report)
        wait_until(lambda: site.lab_runs("ada"), "the lab runs")
        seen = looks.read_text()
        assert "bo" not in seen
        assert seen.startswith("ada")
        site.hub.api("POST", "/users/ada/activity", json=report)
        assert looks.read_text() == seen


def test_the_progress_of_a_start_begins_with_news_and_gives_signs_of_life_after_that(tmp_path: Path) -> None:
    with run_site(tmp_path, CONFIG + OURS) as site:
        site.member("ada")
        site.hub.api("POST", "/users/ada/server")
        told = site.hub.api("GET", "/users/ada/server/progress").text
        assert told.startswith("data:")
        assert "\n\n\n\n" in told
        assert '"ready": true' in told.rpartition("data:")[2]
