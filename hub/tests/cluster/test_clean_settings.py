"""Tests of a start with clean settings. The settings of the user contain a line that ends each lab."""

from __future__ import annotations

import re
from pathlib import Path

from labtesting import cluster
from labtesting.cluster import LABS
from labtesting.github import Account
from labtesting.hub_process import wait_until
from playwright.sync_api import Browser, expect

from hub.tests.cluster.deployment import Deployment
from hub.tests.cluster.objects import URL
from hub.tests.cluster.pages import choose, expect_lab, failure, page_of

# A settings file that ends the lab with `os._exit`. If the file raised an exception, the lab would continue without the
# file.
ENDS_THE_LAB = "import os; os._exit(3)"


def account_of(deployment: Deployment, login: str) -> Account:
    """Return the account of a user at the fake GitHub."""
    account: Account | None = deployment.github.world.find_account(login)
    assert account is not None
    return account


def write_settings(deployment: Deployment, login: str, text: str) -> None:
    """Write a settings file into the home of a user with a running lab, and stop the lab."""
    script = f"mkdir -p ~/.jupyter && echo '{text}' > ~/.jupyter/jupyter_server_config.py"
    deployment.run(account_of(deployment, login), "sh", "-c", script)
    stop(deployment, login)


def stop(deployment: Deployment, login: str) -> None:
    """Stop the lab of a user, and wait until the hub reports that the user has no lab."""
    deployment.api("DELETE", f"/users/{login}/server").raise_for_status()
    deployment.wait_stopped(login)


def moved_folders(deployment: Deployment, login: str) -> list[str]:
    """Return the folders into which clean starts have moved a user's settings. The user's lab must be running."""
    command = "ls -d ~/settings-*/jupyter 2>/dev/null || true"
    return deployment.run(account_of(deployment, login), "sh", "-c", command).split()


def requests_clean_settings(deployment: Deployment, login: str) -> bool:
    """Return whether the pod of a user's lab has the environment variable that requests clean settings."""
    pod = cluster.get("pod", deployment.lab(account_of(deployment, login)), namespace=LABS)
    return "LAB_CLEAN_SETTINGS" in {variable["name"] for variable in pod["spec"]["containers"][0]["env"]}


def test_after_a_failed_start_the_spawn_page_leads_to_a_lab(
    browser: Browser, deployment: Deployment, screenshots: Path
) -> None:
    with page_of(browser, deployment, "mia") as page:
        choose(page, "recommended", "small")
        expect_lab(page, "mia")
        write_settings(deployment, "mia", ENDS_THE_LAB)
        page.goto(f"{URL}/hub/spawn")
        expect(page.locator("#clean-settings")).not_to_have_attribute("open", re.compile(".*"))
        choose(page, "recommended", "small")
        assert "Your lab ended with an error." in failure(page)

        page.goto(f"{URL}/hub/spawn")
        expect(page.locator("#last-end")).to_contain_text("Your lab did not start.")
        page.get_by_label("Start with clean settings").check()
        page.screenshot(path=screenshots / "clean-settings.png", full_page=True)
        page.get_by_role("button", name="Start").click()
        expect_lab(page, "mia")
        (folder,) = moved_folders(deployment, "mia")
        expect(page.locator(".Toastify__toast")).to_contain_text(f"~/{Path(folder).parent.name}")

        stop(deployment, "mia")
        # A start without options uses the stored options of the user's last start.
        deployment.api("POST", "/users/mia/server").raise_for_status()
        wait_until(lambda: deployment.server("mia").get("ready"), "the lab of mia runs", 120)
        assert not requests_clean_settings(deployment, "mia")
        assert moved_folders(deployment, "mia") == [folder]


def test_the_home_page_starts_a_lab_with_clean_settings(
    browser: Browser, deployment: Deployment, screenshots: Path
) -> None:
    with page_of(browser, deployment, "noa") as page:
        choose(page, "recommended", "small")
        expect_lab(page, "noa")
        write_settings(deployment, "noa", 'c.ServerApp.default_url = "/nope"')
        page.goto(f"{URL}/hub/home")
        page.get_by_text("If your lab does not start or does not work").click()
        page.screenshot(path=screenshots / "clean-settings-home.png", full_page=True)
        page.get_by_role("button", name="Start with clean settings").click()
        expect_lab(page, "noa")
        assert len(moved_folders(deployment, "noa")) == 1
        assert requests_clean_settings(deployment, "noa")


def test_a_mistake_in_the_settings_is_shown_and_the_lab_runs(
    browser: Browser, deployment: Deployment, screenshots: Path
) -> None:
    with page_of(browser, deployment, "ori") as page:
        choose(page, "recommended", "small")
        expect_lab(page, "ori")
        write_settings(deployment, "ori", 'c.ServerApp.root_dir = "/nope"')
        page.goto(f"{URL}/hub/spawn")
        choose(page, "recommended", "small")
        expect_lab(page, "ori")
        notification = page.locator(".Toastify__toast")
        expect(notification).to_contain_text("Your lab does not use ~/.jupyter/jupyter_server_config.py")
        page.screenshot(path=screenshots / "settings-ignored.png")
