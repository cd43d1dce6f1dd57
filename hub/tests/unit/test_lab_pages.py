"""Tests that the pages for users contain the word "lab" where JupyterHub's own pages contain "server"."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jinja2 import ChainableUndefined, Environment, FileSystemLoader, select_autoescape
from jupyterhub._data import DATA_FILES_PATH  # type: ignore[import-untyped]
from labhub.configuration import TEMPLATES
from labhub.labs.pod_status import diagnose
from labhub.models.announcement import Announcement
from labhub.models.profiles import parse_menu

# Search for a template in the same folders and order as JupyterHub. A name with the prefix `templates/` selects
# JupyterHub's own template.
FOLDERS = [TEMPLATES, Path(DATA_FILES_PATH) / "templates", DATA_FILES_PATH]
# Render asynchronously as JupyterHub does, because `super()` in a template then returns another type.
PAGES = Environment(
    loader=FileSystemLoader(FOLDERS), undefined=ChainableUndefined, autoescape=select_autoescape(), enable_async=True
)
TOKEN = {"api_id": "a1", "note": "Server at /user/ada/", "scopes": ()}
CLIENT = {"token_id": "a2", "description": "Server at /user/ada/", "scopes": ()}
MENU = parse_menu((TEMPLATES.parents[1] / "data/menu.toml").read_text(), "1")
SPAWNER = SimpleNamespace(menu=MENU, last_choice=MENU.choose({}), last_end=diagnose("memory", "OOMKilled"))
DROPPED = {"identity": {"dropped": [{"login": "a-club"}]}}
RUNNING, STOPPED = SimpleNamespace(active=True), SimpleNamespace(active=False)
LOST = SimpleNamespace(active=True, cut_off_pod={"metadata": {}})
PAUSE = SimpleNamespace(current=Announcement("Maintenance"), pause=Announcement("Maintenance"))


def render(name: str, end: object = None, **variables: Any) -> str:
    """Return the text of a page that a user sees, without the navigation bar."""
    user = SimpleNamespace(
        name="ada", escaped_name="ada", json_escaped_name="ada", spawner=SimpleNamespace(last_end=end)
    )
    common = {"user": user, "base_url": "/hub/", "url": "/hub/spawn/ada", "static_url": lambda name, **_: name}
    page = PAGES.get_template(name).render(common | {"spawn_url": "/hub/spawn/ada"} | variables)
    body = page.partition("</nav>")[2].partition('class="modal fade"')[0]
    text = re.sub(r"<(script|style)\b.*?</\1>|<!--.*?-->|<[^>]*>", " ", body, flags=re.DOTALL)
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("name", "variables", "texts"),
    [
        ("home.html", {"default_server": STOPPED}, ["Start my lab"]),
        ("home.html", {"default_server": RUNNING}, ["Stop my lab", "Open my lab"]),
        ("not_running.html", {}, ["Your lab is not running", "Start my lab"]),
        ("not_running.html", {"announcements": PAUSE}, ["Your lab is not running", "No new lab can start now"]),
        ("not_running.html", {"failed": True, "failed_message": "Why"}, ["Your lab did not start", "Why", "Try again"]),
        (
            "not_running.html",
            {"failed": True, "failed_html_message": "<strong>Why</strong>"},
            ["Your lab did not start Why Try again"],
        ),
        ("not_running.html", {"end": diagnose("memory")}, [diagnose("memory").message, "Your files are in your home."]),
        (
            "spawn.html",
            {"spawner": SPAWNER, "auth_state": DROPPED},
            ["Start your lab", "Your last lab has ended.", "Details from Kubernetes OOMKilled", "folders of a-club,"],
        ),
        (
            "spawn_pending.html",
            {"progress_url": "/hub/api/users/ada/server/progress"},
            ["Your lab is starting", "You will be redirected", "Cancel the start"],
        ),
        (
            "stop_pending.html",
            {"spawner": SimpleNamespace(pod_settings=SimpleNamespace(stop_seconds=30))},
            ["Your lab is saving your work and stopping", "This takes up to 30 seconds"],
        ),
        ("home.html", {"default_server": LOST}, ["does not answer", "Start a new lab", "Your files are in your home."]),
        ("lost_lab.html", {"node": "node1"}, ["Your lab does not answer", "node1", "Start a new lab"]),
        ("lost_lab.html", {"announcements": PAUSE}, ["Your lab does not answer", "No new lab can start now"]),
        ("503.html", {}, ["Your lab does not answer", "Open my home page"]),
        ("error.html", {"message": "Why", "extra_error_html": "server"}, ["Why", "Start your lab again on your home"]),
        ("404.html", {}, ["This page does not exist."]),
        (
            "token.html",
            {"api_tokens": [TOKEN], "oauth_clients": [CLIENT]},
            ["If you revoke the token of a running lab", "(mostly labs)", "Lab at /user/ada/"],
        ),
    ],
    ids=[
        *(
            "home",
            "home of a running lab",
            "not running",
            "not running during a pause",
            "failed",
            "failed with details",
        ),
        *("ended", "spawn page", "starting", "stopping", "home of a lost lab", "lost lab", "lost lab during a pause"),
        *("no answer", "error", "not found", "tokens"),
    ],
)
def test_page_contains_lab_instead_of_server(name: str, variables: dict[str, Any], texts: list[str]) -> None:
    shown = render(name, **variables)
    for text in texts:
        assert text in shown
    assert "server" not in shown.lower()


def test_no_start_button_during_a_pause() -> None:
    assert "Start my lab" not in render("not_running.html", announcements=PAUSE)
    assert "Start a new lab" not in render("lost_lab.html", announcements=PAUSE)
