"""A real browser: headless Chromium of the machine, driven by Playwright."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from labtesting.needs import need_program


@contextmanager
def open_browser(trusted: str = "", *more: str) -> Iterator[Browser]:
    """Give a Chromium; without one the test is skipped (fails in CI).

    Parameters
    ----------
    trusted
        `labtesting.certificates.fingerprint` of a certificate that it takes for good, and so keeps what comes with it.
    *more
        Arguments for Chromium.
    """
    program = need_program("chromium", "google-chrome", how="apt install chromium")
    with sync_playwright() as playwright:
        # --no-sandbox: as root, which CI is, Chromium refuses to start with it.
        arguments = ["--no-sandbox", "--disable-dev-shm-usage", *more]
        if trusted:
            arguments.append(f"--ignore-certificate-errors-spki-list={trusted}")
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        try:
            yield browser
        finally:
            browser.close()
