"""A real browser: headless Chromium of the machine, driven by Playwright."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from labtesting.needs import need_program


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Give a Chromium; without one the test is skipped (fails in CI)."""
    program = need_program("chromium", "google-chrome", how="apt install chromium")
    with sync_playwright() as playwright:
        # --no-sandbox: as root, which CI is, Chromium refuses to start with it.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        try:
            yield browser
        finally:
            browser.close()
