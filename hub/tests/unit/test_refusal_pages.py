"""Tests that the page about a refused login has a text for each reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jinja2 import ChainableUndefined, Environment, FileSystemLoader, select_autoescape
from jupyterhub._data import DATA_FILES_PATH  # type: ignore[import-untyped]
from labhub.configuration import TEMPLATES
from labhub.models.access_rules import Rule
from labhub.models.login_errors import LoginRefusal

# Search for a template in the same folders and order as JupyterHub. A name with the prefix `templates/` selects
# JupyterHub's own template.
FOLDERS = [TEMPLATES, Path(DATA_FILES_PATH) / "templates", DATA_FILES_PATH]
PAGES = Environment(loader=FileSystemLoader(FOLDERS), undefined=ChainableUndefined, autoescape=select_autoescape())


def render(reason: LoginRefusal, **changes: Any) -> str:
    """Return the main part of a rendered page, without the navigation bar."""
    variables = {
        "reason": reason.code,
        "login": "ada",
        "allowed": (Rule("lsst"), Rule("rubin", "pilots")),
        "contact": "",
        "github_url": "https://github.com",
        "client_id": "an-id",
        "base_url": "/hub/",
        "static_url": lambda name, **_: name,
    }
    page = PAGES.get_template("login_refused.html").render(variables | changes)
    return page[page.index("<main") : page.index("</main>")]


@pytest.mark.parametrize("reason", LoginRefusal)
def test_page_has_heading_text_and_login_link(reason: LoginRefusal) -> None:
    main = render(reason)
    heading = main.partition("<h1")[2].partition(">")[2].partition("</h1>")[0]
    assert heading.strip()
    assert main.count("<p") > 2
    assert 'href="/hub/oauth_login"' in main


def test_pages_have_different_texts() -> None:
    assert len({render(reason) for reason in LoginRefusal}) == len(LoginRefusal)


def test_pending_member_gets_a_link_to_the_invitation() -> None:
    assert "https://github.com/orgs/lsst/invitation" in render(LoginRefusal.PENDING, allowed=(Rule("lsst"),))


def test_a_page_shows_a_contact_once_and_escapes_it() -> None:
    for reason in LoginRefusal:
        assert render(reason, contact="<help>@lsst").count("&lt;help&gt;@lsst") == 1
