"""What somebody at an open page of a spawned lab sees of its notices, in Chromium."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from labtesting.browser import open_browser
from labtesting.labclient import SpawnedLab, wait_until
from playwright.sync_api import Page, expect

Spawn = Callable[..., SpawnedLab]
SECONDS = 1000
NOTIFICATION = ".Toastify__toast"


@contextmanager
def page_of(lab: SpawnedLab) -> Iterator[Page]:
    """Open the lab's page, whose clock can be put forward, and wait for its launcher."""
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(60 * SECONDS)
        expect.set_options(timeout=60 * SECONDS)
        page.clock.install()
        page.goto(f"{lab.client.url}{lab.client.base}lab")
        expect(page.locator(".jp-LauncherCard").first).to_be_visible()
        yield page


def test_a_page_that_nobody_touches_warns_and_is_no_use(spawn: Spawn, screenshots: Path) -> None:
    lab = spawn(LAB_IDLE_SECONDS="14", LAB_WARNING_SECONDS="7")
    with page_of(lab) as page, lab.client.terminal():
        wait_until(lambda: len(lab.notices()) > 0, "the lab warns of its idleness, with its page open")
        before = lab.last_activity()
        page.clock.run_for(61 * SECONDS)
        notification = page.locator(NOTIFICATION)
        expect(notification).to_contain_text("This lab has been idle for")
        expect(notification).to_be_in_viewport(ratio=1)  # it slides in
        assert "{time}" not in str(notification.text_content())
        page.screenshot(path=screenshots / "notice.png")
        assert lab.last_activity() == before

        page.mouse.move(300, 300)
        expect(notification).to_have_count(0)
        assert lab.last_activity() > before
        wait_until(lambda: lab.hub.reports[-1] > before, "the hub hears of it")


def test_a_page_tells_what_holds_from_the_start_once(spawn: Spawn, tmp_path: Path, screenshots: Path) -> None:
    lab = spawn(HOME=str(tmp_path / "missing"))
    with page_of(lab) as page:
        notification = page.locator(NOTIFICATION)
        expect(notification).to_contain_text("your home cannot be used (No such file or directory)")
        expect(notification).to_be_in_viewport(ratio=1)
        page.screenshot(path=screenshots / "notice-home.png")
        page.clock.run_for(121 * SECONDS)
        expect(notification).to_have_count(1)


def test_an_open_page_is_use_as_long_as_somebody_is_at_it(spawn: Spawn) -> None:
    lab = spawn()
    with page_of(lab) as page:
        before = lab.last_activity()
        page.clock.run_for(61 * SECONDS)
        page.keyboard.press("Shift")
        wait_until(lambda: lab.last_activity() > before, "a key is use")
