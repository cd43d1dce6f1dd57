"""Headless Chromium: Playwright controls the Chromium that is installed on the machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from labtesting.needs import need_program


@contextmanager
def open_browser(trusted: str = "", *more: str) -> Iterator[Browser]:
    """Start Chromium, and close it at the end of the block. Without Chromium the test is skipped, or fails in CI.

    Parameters
    ----------
    trusted
        Fingerprint of a certificate that Chromium trusts (`labtesting.certificates.fingerprint`). Chromium does not
        cache the responses of untrusted servers.
    *more
        Further command-line arguments for Chromium.
    """
    program = need_program("chromium", "google-chrome", how="apt install chromium")
    with sync_playwright() as playwright:
        # If the user is root, for example in CI, Chromium starts only without its sandbox.
        arguments = ["--no-sandbox", "--disable-dev-shm-usage", *more]
        if trusted:
            arguments.append(f"--ignore-certificate-errors-spki-list={trusted}")
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        try:
            yield browser
        finally:
            browser.close()
