"""Tests of the hub's pages in a real browser: the login, refusals, and the start of a lab."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from labtesting.browser import open_browser
from labtesting.github.sample import populate
from playwright.sync_api import Browser, Page, expect

from hub.tests.integration.conftest import CONFIG

# Heading of the page for each account whose login the hub refuses. The empty text stands for a user who cancels the
# login at GitHub.
REFUSED = {
    "eve": "You are not a member yet",
    "dan": "Accept your invitation first",
    "finn": "GitHub has suspended your account",
    "": "You cancelled the login",
}


@pytest.fixture(scope="module")
def site(start_site: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Start a hub with the sample accounts of the fake GitHub."""
    folder: Path = tmp_path_factory.mktemp("browser")
    with start_site(folder, GITHUB_ORGANIZATION_WHITELIST="lsst-sqre") as site:
        populate(site.world)
        yield site


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, site: Any) -> Iterator[Page]:
    with site.browse(browser) as page:
        yield page


def choose(page: Page, site: Any, login: str) -> None:
    """Log in through the fake GitHub, which shows a button for each account."""
    page.goto(f"{site.hub.url}/hub/login?next=/hub/home")
    page.get_by_role("button", name="Sign in with GitHub").click()
    page.locator(f'button[name="login"][value="{login}"]').click()


def test_member_logs_in_and_out(page: Page, site: Any, screenshots: Path) -> None:
    page.goto(f"{site.hub.url}/hub/login?next=/hub/home")
    page.get_by_role("button", name="Sign in with GitHub").click()
    expect(page.get_by_role("heading", name="Choose a user")).to_be_visible()
    page.screenshot(path=screenshots / "github-stand-in.png", full_page=True)
    page.get_by_role("button", name="Ada Amber").click()
    expect(page.get_by_role("button", name="Start my lab")).to_be_visible()
    page.locator("#logout").click()
    expect(page.get_by_role("button", name="Sign in with GitHub")).to_be_visible()
    assert [event["hub.token_revoked"] for event in site.events("logout", "ada")] == [True]


@pytest.mark.parametrize("login", REFUSED)
def test_refused_user_sees_the_reason_and_can_try_again(page: Page, site: Any, login: str, screenshots: Path) -> None:
    choose(page, site, login)
    expect(page.get_by_role("heading", level=1)).to_have_text(REFUSED[login])
    expect(page).to_have_title(REFUSED[login])
    page.screenshot(path=screenshots / f"refused-{login or 'cancelled'}.png", full_page=True)
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="Choose a user")).to_be_visible()


@pytest.mark.parametrize("kind", ["down", "limited"])
def test_login_page_reports_an_outage_of_github(page: Page, site: Any, kind: str, screenshots: Path) -> None:
    with site.trouble(kind):
        choose(page, site, "ada")
        heading = "GitHub does not answer" if kind == "down" else "GitHub's request limit is reached"
        expect(page.get_by_role("heading", level=1)).to_have_text(heading)
        page.screenshot(path=screenshots / f"refused-{kind}.png", full_page=True)


def test_a_user_starts_and_stops_a_lab(page: Page, site: Any, screenshots: Path) -> None:
    choose(page, site, "ada")
    expect(page.get_by_role("button", name="Start my lab")).to_be_visible()
    page.screenshot(path=screenshots / "home.png", full_page=True)
    page.goto(f"{site.hub.url}/user/ada/lab")
    expect(page.get_by_role("heading", level=1)).to_have_text("Your lab is not running")
    page.screenshot(path=screenshots / "not-running.png", full_page=True)
    page.get_by_role("button", name="Start my lab").click()
    page.wait_for_url("**/user/ada/**", timeout=60_000)
    page.goto(f"{site.hub.url}/hub/home")
    expect(page.get_by_role("button", name="Open my lab")).to_be_visible()
    page.screenshot(path=screenshots / "home-running.png", full_page=True)
    page.get_by_role("button", name="Stop my lab").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your lab is not running", timeout=180_000)
    assert not site.lab_runs("ada")


# Settings of a hub whose labs never answer, and which redirects to the progress page at once
SLOW = """
c.SimpleLocalProcessSpawner.cmd = ["sh", "-c", "exec sleep 600"]
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0}
"""


def test_a_user_cancels_the_start_of_a_lab(
    browser: Browser, start_site: Any, tmp_path: Path, screenshots: Path
) -> None:
    with start_site(tmp_path, CONFIG + SLOW, GITHUB_ORGANIZATION_WHITELIST="lsst-sqre") as site:
        populate(site.world)
        with site.browse(browser) as page:
            choose(page, site, "ada")
            page.get_by_role("button", name="Start my lab").click()
            expect(page.get_by_role("heading", level=1)).to_have_text("Your lab is starting")
            expect(page.locator("#progress-log")).to_contain_text("Lab requested")
            page.screenshot(path=screenshots / "starting.png", full_page=True)
            page.get_by_role("button", name="Cancel the start").click()
            # The browser must show the home page. This hub's menu has one image and one size, so the spawn page would
            # start the lab again.
            expect(page.get_by_role("button", name="Start my lab")).to_be_visible(timeout=180_000)
            assert page.url.endswith("/hub/home")
            assert not site.lab_runs("ada")


def test_leak_check_finds_a_secret_on_a_page(page: Page, site: Any) -> None:
    choose(page, site, "ada")
    page.goto(f"{site.hub.url}/hub/token")
    assert site.leaks() == []
    assert site.api_token("ada") in site.secrets
    assert site.hub.token in site.secrets
    page.evaluate("document.body.append('a-secret' + '-of-this-test')")
    page.reload()
    site.secrets.append("a-secret-of-this-test")
    try:
        assert site.leaks() == ["a-secret-of-this-test"]
    finally:
        # Remove the secret, because the teardown of `site` also searches for secrets.
        site.secrets.pop()
