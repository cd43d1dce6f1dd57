"""The hub's pages in a browser: start a lab, and read why the lab waits or does not start."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from hub.tests.cluster.deployment import Deployment
from hub.tests.cluster.objects import URL

# Maximum time in seconds from the click until the page shows the reason
SOON = 15
# Selector of the visible alert. Each page also has a hidden alert, for errors of the page's scripts.
SHOWN = ".alert-danger:visible"
# Width and height of a laptop's and of a phone's window, in pixels
WINDOWS = ((1440, 900), (390, 844))


@contextmanager
def page_of(browser: Browser, deployment: Deployment, login: str) -> Iterator[Page]:
    """Log in as a new member, and yield the spawn page. Stop the lab at the end, so that other labs have room."""
    account = deployment.github.world.add_account(login)
    deployment.join(account, "lsst-sqre")
    try:
        with log_in(browser, login) as page:
            yield page
    finally:
        deployment.api("DELETE", f"/users/{login}/server")


@contextmanager
def log_in(browser: Browser, login: str) -> Iterator[Page]:
    """Log in as a member, and yield the browser's page, which shows the spawn page or the user's lab."""
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    page.goto(f"{URL}/hub/oauth_login?next=/hub/spawn")
    page.locator(f"[value={login}]").click()
    page.wait_for_url(f"{URL}/**")
    try:
        yield page
    finally:
        context.close()


def choose(page: Page, image: str, size: str) -> float:
    """Choose an image and a size, and start the lab, with the keyboard only. Return the time of the request."""
    page.locator(f"input[value={image}]").focus()
    page.keyboard.press("Space")
    page.locator(f"input[value={size}]").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    started = time.monotonic()
    page.keyboard.press("Enter")
    return started


def failure(page: Page, seconds: float = 60) -> str:
    """Wait until the page reports that the lab did not start, and return the message."""
    page.locator("text=Your lab did not start").or_(page.locator(SHOWN)).first.wait_for(timeout=seconds * 1000)
    # The progress page or the spawn page shows the message. If the spawn has failed before the progress page was
    # loaded, the hub shows the message on the page of a stopped lab.
    return page.locator(f"#progress-message, #lab-message, {SHOWN}").first.inner_text()


def expect_lab(page: Page, login: str) -> None:
    """Wait until the browser shows the launcher of the user's lab."""
    page.wait_for_url(f"**/user/{login}/lab*", timeout=120_000)
    expect(page.locator(".jp-LauncherCard").first).to_be_visible(timeout=120_000)


def pod_name(deployment: Deployment, login: str) -> str:
    """Return the name of the pod of a user's lab."""
    account = deployment.github.world.find_account(login)
    assert account is not None
    return deployment.lab(account)


def take_pictures(page: Page, folder: Path, name: str) -> None:
    """Save a screenshot of the page for each size in `WINDOWS`, and check that the page does not scroll sideways."""
    size = page.viewport_size
    for width, height in WINDOWS:
        page.set_viewport_size({"width": width, "height": height})
        page.screenshot(path=folder / f"{name}-{width}x{height}.png")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    if size:
        page.set_viewport_size(size)
