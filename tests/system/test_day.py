"""Tests of a user's day from login to logout, and of the resulting files, logs and doctor's report."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from labtesting.cluster import LABS, get, kubectl, run_cronjob
from labtesting.hub_process import wait_until
from labtesting.nfs import run_on_client
from playwright.sync_api import Browser, Page, expect

from tests.system.deployment import COMPONENTS, ORGANIZATION, ROOT, URL, Deployment, configure, log_in

SECONDS = 1000
# Print a single line, so that the screenshot shows the whole output.
CELL = (
    "import pathlib, lsst.daf.butler as butler; "
    "pathlib.Path('from-lab.txt').write_text('in the home'); "
    f"pathlib.Path('/project/{ORGANIZATION}/from-lab.txt').write_text('in the project'); "
    "print('written with', butler.Butler.__name__)"
)


def test_second_configure_and_apply_change_nothing(site: Deployment) -> None:
    configure(site.folder)
    lines = kubectl("apply", "--filename", site.folder / "site").splitlines()
    # A second apply would change the other components, because deployment.py changes nginx's Service, the labs' volumes
    # and filebeat's image.
    for name in {*COMPONENTS} - {"fileserver", "nginx", "filebeat"}:
        lines += kubectl("apply", "--filename", ROOT / name / "kubernetes").splitlines()
    # kubectl reports a PodDisruptionBudget as `configured` at each apply. logstashrmq/tests/cluster explains the
    # reason.
    changed = [line for line in lines if not line.endswith(" unchanged") and "poddisruptionbudget" not in line]
    assert changed == []


def test_user_logs_in_works_and_logs_out(site: Deployment, browser: Browser, tmp_path: Path, screenshots: Path) -> None:
    account = site.member("grace")
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.set_default_timeout(180 * SECONDS)
    expect.set_options(timeout=180 * SECONDS)
    log_in(page, "grace")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator(".jp-LauncherCard", has_text="LSST_Stack").first).to_be_visible()
    page.screenshot(path=screenshots / "system-launcher.png")
    run_cell(page, CELL)
    expect(page.locator(".jp-OutputArea-output", has_text="written with Butler")).to_be_visible()
    page.screenshot(path=screenshots / "system-notebook.png")

    lab = f"lab-{account.id}"
    assert "uid=" + str(account.id) in kubectl("exec", lab, "--namespace", LABS, "--", "id")
    assert_read_by_nfs(site, account.id, tmp_path)
    wait_until(lambda: sessions(site, account.id) >= {"session_start", "kernel_start"}, "the session events arrive")

    page.goto(f"{URL}/hub/home")
    page.locator("#logout").click()
    expect(page.get_by_role("button", name="Sign in with GitHub")).to_be_visible()
    context.close()


def run_cell(page: Page, code: str) -> None:
    """Open a notebook with the LSST_Stack kernel in the browser, and run a cell."""
    page.locator(".jp-LauncherCard", has_text="LSST_Stack").first.click()
    expect(page.get_by_role("button", name="LSST_Stack | Idle")).to_be_visible()
    page.locator(".jp-Notebook .jp-Cell .cm-content").first.click()
    page.keyboard.insert_text(code)
    page.keyboard.press("Shift+Enter")


def assert_read_by_nfs(site: Deployment, uid: int, folder: Path) -> None:
    """Check that an NFS client can read a file of the lab through the Service of the fileserver."""
    address = get("service", "fileserver")["spec"]["clusterIP"]
    organization = site.github.world.find_organization(ORGANIZATION)
    assert organization is not None
    as_user = ("setpriv", f"--reuid={uid}", f"--regid={uid}", f"--groups={organization.id}")
    for path, text in ((f"home/{uid}", "in the home"), (f"project/{organization.id}", "in the project")):
        share, name = path.split("/")
        command = (*as_user, "/bin/cat", f"/mnt/{name}/from-lab.txt")
        with run_on_client(f"{address}:/{share}", *command, log=folder / share) as client:
            assert client.finish().strip() == text


def sessions(site: Deployment, uid: int) -> set[str]:
    """Return the actions of a user's session events, from the events that have arrived in RabbitMQ."""
    events = [event for event in site.read_events() if event.get("user.id") == str(uid)]
    return {event["event.action"] for event in events if event["event.dataset"] == "lab.session"}


def test_log_lines_of_each_component_arrive(site: Deployment) -> None:
    wanted = {"fileserver", "hub", "lab", "logstashrmq", "nginx"}
    wait_until(lambda: {event["service.name"] for event in site.read_events()} >= wanted, f"lines of {wanted} arrive")
    assert not any("made-up-client-secret" in json.dumps(event) for event in site.events)


@pytest.mark.usefixtures("site")
def test_doctor_finds_no_problem() -> None:
    run_cronjob("retain-volumes")  # a new deployment may not have run the CronJob yet
    done = subprocess.run(
        [sys.executable, "-m", "labadmin", "doctor", "--json"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    problems = {(row["check"], row["what"]) for row in json.loads(done.stdout) if row["status"] != "ok"}
    # Ignore three checks that can fail on a test cluster. DNS has no entry for the site's name, no CSI driver is used,
    # and the disk may be full.
    assert {check for check, _ in problems} <= {"page", "csi-driver", "space"}, problems
