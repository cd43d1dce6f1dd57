"""Tests of a user's first steps in Chromium: log in, open a notebook, run a cell."""

from __future__ import annotations

from pathlib import Path

from labtesting.browser import open_browser
from labtesting.labclient import HubLogin
from playwright.sync_api import Page, expect

SECONDS = 1000


def test_user_logs_in_and_runs_a_cell_of_the_stack(hub: HubLogin, screenshots: Path) -> None:
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(180 * SECONDS)
        expect.set_options(timeout=180 * SECONDS)
        page.goto(hub.url)
        page.get_by_label("Username").fill(hub.user)
        page.get_by_label("Password").fill(hub.password)
        page.get_by_role("button", name="Sign in").click()

        # Wait for the launcher, with or without the hub's progress page. The hub shows no progress page if an earlier
        # test has started the lab.
        tile = page.locator(".jp-LauncherCard", has_text="LSST_Stack").first
        expect(tile).to_be_visible()
        page.screenshot(path=screenshots / "launcher.png")

        tile.click()
        run_cell(page, "import lsst.daf.butler as butler; print('from the stack:', butler.Butler.__name__)")
        expect(page.locator(".jp-OutputArea-output", has_text="from the stack: Butler")).to_be_visible()
        page.screenshot(path=screenshots / "notebook.png")


def run_cell(page: Page, code: str) -> None:
    """Wait until the kernel of the open notebook is idle, type code into its first cell, and run the cell."""
    expect(page.get_by_role("button", name="LSST_Stack | Idle")).to_be_visible()
    cell = page.locator(".jp-Notebook .jp-Cell .cm-content").first
    cell.click()
    page.keyboard.type(code)
    expect(cell).to_have_text(code)
    page.keyboard.press("Shift+Enter")
