"""Tests of the JupyterLab page of a spawned lab in Chromium: notices, announcements, launcher and workspaces."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from labtesting.browser import open_browser
from labtesting.hub_process import wait_until
from labtesting.labclient import SpawnedLab
from playwright.sync_api import Page, Route, expect

Spawn = Callable[..., SpawnedLab]
SECONDS = 1000
NOTIFICATION = ".Toastify__toast"


@contextmanager
def page_of(lab: SpawnedLab) -> Iterator[Page]:
    """Open the lab's page, and wait for the launcher. The test controls the clock of the page (`page.clock`)."""
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(180 * SECONDS)
        expect.set_options(timeout=180 * SECONDS)
        page.clock.install()
        page.goto(f"{lab.client.url}{lab.client.base}lab")
        expect(page.locator(".jp-LauncherCard").first).to_be_visible()
        yield page


def test_untouched_page_warns_and_does_not_count_as_use(spawn: Spawn, screenshots: Path) -> None:
    lab = spawn(LAB_IDLE_SECONDS="14", LAB_WARNING_SECONDS="7")
    with page_of(lab) as page, lab.client.terminal():
        wait_until(lambda: len(lab.notices()) > 0, "the lab warns that it is idle while its page is open")
        before = lab.last_activity()
        page.clock.run_for(61 * SECONDS)
        notification = page.locator(NOTIFICATION)
        expect(notification).to_contain_text("This lab has been idle for")
        expect(notification).to_be_in_viewport(ratio=1)  # wait for the end of the animation that moves the notification
        assert "{time}" not in str(notification.text_content())
        page.screenshot(path=screenshots / "notice.png")
        assert lab.last_activity() == before

        page.mouse.move(300, 300)
        expect(notification).to_have_count(0)
        assert lab.last_activity() > before
        wait_until(lambda: lab.hub.reports[-1] > before, "the lab reports the use to the hub")


def test_page_requests_no_build_of_the_front_end(spawn: Spawn) -> None:
    lab = spawn()
    asked: list[str] = []
    with open_browser() as browser:
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{lab.client.url}{lab.client.base}lab")
        expect(page.locator(".jp-LauncherCard").first).to_be_visible(timeout=180 * SECONDS)
    assert any("/api/kernelspecs" in url for url in asked)
    assert not any("/api/build" in url for url in asked)


def test_page_shows_a_start_notice_once(spawn: Spawn, tmp_path: Path, screenshots: Path) -> None:
    lab = spawn(HOME=str(tmp_path / "missing"))
    with page_of(lab) as page:
        notification = page.locator(NOTIFICATION)
        expect(notification).to_contain_text("Your home cannot be used (No such file or directory)")
        expect(notification).to_be_in_viewport(ratio=1)
        page.screenshot(path=screenshots / "notice-home.png")
        page.clock.run_for(121 * SECONDS)
        expect(notification).to_have_count(1)


def test_key_press_on_a_page_counts_as_use(spawn: Spawn) -> None:
    lab = spawn()
    with page_of(lab) as page:
        before = lab.last_activity()
        page.clock.run_for(61 * SECONDS)
        page.keyboard.press("Shift")
        wait_until(lambda: lab.last_activity() > before, "a key press counts as use")


def test_page_shows_an_announcement_until_its_end(spawn: Spawn, screenshots: Path) -> None:
    lab = spawn(LAB_ANNOUNCEMENT_PATH="/hub/api/announcement")
    announced = lab.hub.announced
    with page_of(lab) as page:
        before = lab.last_activity()
        announced.message, announced.level = "Maintenance at {time}: <b>all</b> labs stop.", "warning"
        page.clock.run_for(61 * SECONDS)
        notification = page.locator(NOTIFICATION)
        expect(notification).to_contain_text(announced.message)
        expect(notification).to_be_in_viewport(ratio=1)
        announced.spawning = "stopped"
        page.clock.run_for(61 * SECONDS)
        expect(notification).to_have_count(2)
        expect(page.get_by_text("An administrator has paused the start of labs.")).to_be_in_viewport(ratio=1)
        assert "…" not in notification.nth(1).inner_text(), "JupyterLab cuts the text after 140 characters"
        page.screenshot(path=screenshots / "announcement.png")
        announced.message, announced.spawning = "", "allowed"
        page.clock.run_for(61 * SECONDS)
        expect(notification).to_have_count(0)
        assert lab.last_activity() == before


def test_only_a_visible_page_polls_the_hub(spawn: Spawn) -> None:
    lab = spawn(LAB_ANNOUNCEMENT_PATH="/hub/api/announcement")
    with page_of(lab) as page:
        wait_until(lambda: lab.hub.announced.request_count == 1, "the page requests the announcement")
        hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
        hide += "document.dispatchEvent(new Event('visibilitychange'));"
        page.evaluate(hide % "true")
        page.clock.run_for(600 * SECONDS)
        page.evaluate(hide % "false")
        wait_until(lambda: lab.hub.announced.request_count > 1, "the page requests the announcement again")
        page.evaluate(hide % "false")
        page.clock.run_for(61 * SECONDS)
        wait_until(lambda: lab.hub.announced.request_count > 2, "the page requests the announcement again")
        assert lab.hub.announced.request_count == 3


def test_page_without_an_announcement_path_does_not_poll(spawn: Spawn) -> None:
    lab = spawn()
    with page_of(lab) as page:
        page.clock.run_for(121 * SECONDS)
        # Send a request from the page and wait for its answer. A request for an announcement would have arrived at the
        # hub before this answer.
        page.evaluate("fetch('api')")
        assert lab.hub.announced.request_count == 0


def test_the_launcher_does_not_wait_for_the_saved_state(spawn: Spawn) -> None:
    lab = spawn()
    held: list[Route] = []

    def hold(route: Route) -> None:
        if route.request.method == "PUT":
            held.append(route)
        else:
            route.continue_()

    with open_browser() as browser:
        page = browser.new_page()
        page.route("**/lab/api/workspaces/*", hold)
        with page.expect_request(lambda request: request.method == "PUT" and "workspaces" in request.url):
            page.goto(f"{lab.client.url}{lab.client.base}lab")
        expect(page.locator(".jp-LauncherCard").first).to_be_visible(timeout=180 * SECONDS)
        # After the page has saved its state, JupyterLab requests the folder again. Then JupyterLab would open a second
        # launcher if no tab were open.
        with page.expect_response("**/api/contents?content=1*"):
            held[0].continue_()
        page.wait_for_timeout(500)
        expect(page.locator(".jp-Launcher")).to_have_count(1)


def test_a_page_of_a_file_has_no_launcher(spawn: Spawn, tmp_path: Path) -> None:
    lab = spawn()
    (tmp_path / "notes.txt").write_text("what I wanted")
    with open_browser() as browser:
        page = browser.new_page()
        page.goto(f"{lab.client.url}{lab.client.base}lab/tree/notes.txt")
        expect(page.get_by_text("what I wanted")).to_be_visible(timeout=180 * SECONDS)
        expect(page.locator(".jp-Launcher")).to_have_count(0)


def open_lab(page: Page, lab: SpawnedLab) -> str:
    """Open the lab's page, wait for the launcher, and return the page's path below the lab's URL."""
    page.goto(f"{lab.client.url}{lab.client.base}lab")
    expect(page.locator(".jp-LauncherCard").first).to_be_visible(timeout=180 * SECONDS)
    # Leave out the query, because JupyterLab may not have removed ?reset=1 yet.
    return page.url.partition(lab.client.base)[2].partition("?")[0]


def test_two_pages_keep_separate_workspaces(spawn: Spawn) -> None:
    lab = spawn()
    with open_browser() as browser:
        window = browser.new_context()
        first, second = window.new_page(), window.new_page()
        assert open_lab(first, lab) == "lab"
        assert re.fullmatch(r"lab/workspaces/auto-\w", open_lab(second, lab))
        first.reload()
        expect(first.locator(".jp-LauncherCard").first).to_be_visible(timeout=180 * SECONDS)
        assert first.url.endswith("/lab")
        first.close()
        assert open_lab(window.new_page(), lab) == "lab"


def test_a_page_with_another_workspace_opens_its_file(spawn: Spawn, tmp_path: Path) -> None:
    lab = spawn()
    (tmp_path / "a b.txt").write_text("what I wanted")
    with open_browser() as browser:
        window = browser.new_context()
        open_lab(window.new_page(), lab)
        page = window.new_page()
        page.goto(f"{lab.client.url}{lab.client.base}lab/tree/a%20b.txt")
        expect(page.get_by_text("what I wanted")).to_be_visible(timeout=180 * SECONDS)
        assert "/lab/workspaces/auto-" in page.url


@pytest.mark.parametrize(
    "script",
    [
        "delete Navigator.prototype.locks",
        "LockManager.prototype.request = () => Promise.reject(new DOMException('no', 'SecurityError'))",
    ],
    ids=["without TLS", "where the browser forbids locks"],
)
def test_pages_without_locks_have_separate_workspaces(spawn: Spawn, script: str) -> None:
    lab = spawn()
    with open_browser() as browser:
        window = browser.new_context()
        window.add_init_script(script)
        first, second = window.new_page(), window.new_page()
        assert open_lab(first, lab) == "lab"
        assert re.fullmatch(r"lab/workspaces/auto-\w", open_lab(second, lab))
        assert open_lab(first, lab) == "lab"
        first.close()
        assert open_lab(window.new_page(), lab) == "lab"
