"""The login in a real browser, as people see it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from labtesting.browser import open_browser
from labtesting.github.sample import populate
from playwright.sync_api import Browser, Page, expect

# Whoever is refused, and what the page is called
REFUSED = {
    "eve": "You are not a member yet",
    "dan": "Your invitation is waiting",
    "finn": "GitHub has suspended this account",
    "": "You have cancelled",
}


@pytest.fixture(scope="module")
def site(start_site: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Start a hub for the stand-in's made-up people."""
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
    """Sign in as somebody."""
    page.goto(f"{site.hub.url}/hub/login?next=/hub/home")
    page.get_by_role("button", name="Sign in with GitHub").click()
    page.locator(f'button[name="login"][value="{login}"]').click()


def test_a_member_comes_in_and_signs_out(page: Page, site: Any, screenshots: Path) -> None:
    page.goto(f"{site.hub.url}/hub/login?next=/hub/home")
    page.get_by_role("button", name="Sign in with GitHub").click()
    expect(page.get_by_role("heading", name="Who do you want to be?")).to_be_visible()
    page.screenshot(path=screenshots / "github-stand-in.png", full_page=True)
    page.get_by_role("button", name="Ada Amber").click()
    expect(page.get_by_role("button", name="Start My Server")).to_be_visible()
    page.locator("#logout").click()
    expect(page.get_by_role("button", name="Sign in with GitHub")).to_be_visible()
    assert [event["hub.token_revoked"] for event in site.events("logout", "ada")] == [True]


@pytest.mark.parametrize("login", REFUSED)
def test_whoever_is_refused_reads_why_and_can_try_again(page: Page, site: Any, login: str, screenshots: Path) -> None:
    choose(page, site, login)
    expect(page.get_by_role("heading", level=1)).to_have_text(REFUSED[login])
    expect(page).to_have_title(REFUSED[login])
    page.screenshot(path=screenshots / f"refused-{login or 'cancelled'}.png", full_page=True)
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="Who do you want to be?")).to_be_visible()


@pytest.mark.parametrize("kind", ["down", "limited"])
def test_while_github_is_in_trouble_the_page_says_so(page: Page, site: Any, kind: str, screenshots: Path) -> None:
    with site.trouble(kind):
        choose(page, site, "ada")
        heading = "GitHub does not answer" if kind == "down" else "GitHub asks us to slow down"
        expect(page.get_by_role("heading", level=1)).to_have_text(heading)
        page.screenshot(path=screenshots / f"refused-{kind}.png", full_page=True)


def test_a_secret_in_a_token_of_the_api_or_in_what_chromium_shows_would_be_found(page: Page, site: Any) -> None:
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
        # Else the end of all tests finds it, too.
        site.secrets.pop()
