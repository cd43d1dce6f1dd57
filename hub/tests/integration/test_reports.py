"""A lab's report of activity, at a real hub."""

from __future__ import annotations

from pathlib import Path

from labtesting.hub_process import wait_until

from hub.tests.integration.conftest import CONFIG, run_site

LOOKS = """
from jupyterhub.apihandlers import default_handlers
from jupyterhub.spawner import SimpleLocalProcessSpawner
from labhub.pages import ActivityCall

def look(spawner):
    with open("looks", "a") as file:
        file.write(spawner.user.name)

SimpleLocalProcessSpawner.look = look
default_handlers.insert(0, (r"/api/users/([^/]+)/activity", ActivityCall))
"""


def test_has_the_hub_look_at_a_lab_that_it_waits_for_and_at_no_other(tmp_path: Path) -> None:
    report = {"last_activity": "2026-11-27T00:00:00Z"}
    looks = tmp_path / "looks"
    with run_site(tmp_path, CONFIG + LOOKS) as site:
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
