"""Labs that stop: their programs can save, and neither a finalizer nor a slow pod blocks the user without a reason."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from labhub.labs.pod_removal import KUBELET_SECONDS
from labtesting import cluster
from labtesting.cluster import LABS, kubectl
from labtesting.github import Account
from labtesting.hub_process import wait_until
from playwright.sync_api import Browser, Page, expect

from hub.tests.cluster.deployment import Deployment
from hub.tests.cluster.objects import URL, slow_pod
from hub.tests.cluster.pages import choose, expect_lab, failure, page_of, pod_name, take_pictures
from hub.tests.cluster.pods import evict, pod_uid, set_finalizers
from hub.tests.cluster.saving import check_saved, run_program

# Default of `LAB_STOP_SECONDS`
STOP_SECONDS = 30
# The page of a stopping lab opens when JupyterHub answers, after its `slow_stop_timeout` of 10 s.
SLOW_SECONDS = 15
HOLD = "example.org/hold"
STOPPING = "Your lab is saving your work and stopping"
Stop = Callable[[Deployment, Account], None]


def start_program(deployment: Deployment, account: Account) -> None:
    """Start the lab of a new member, and in a kernel a program that needs 3 s to save."""
    deployment.join(account, "lsst-sqre")
    visitor = deployment.visitor(account.login)
    visitor.log_in()
    visitor.spawn(account.login, image="recommended", size="small")
    run_program(deployment, account)


def stop_by_user(deployment: Deployment, account: Account) -> None:
    """Stop a lab through the REST API."""
    assert deployment.api("DELETE", f"/users/{account.login}/server").status_code in {202, 204}


def revoke(deployment: Deployment, account: Account) -> None:
    """Remove a user from the allowed organization."""
    organization = deployment.github.world.find_organization("lsst-sqre")
    assert organization is not None
    del organization.members[account.id]


def drain(deployment: Deployment, account: Account) -> None:
    """Evict a lab's pod, as `kubectl drain` does."""
    evict(deployment.lab(account))


@pytest.mark.parametrize(("login", "stop"), [("abel", stop_by_user), ("beth", revoke), ("carl", drain)])
def test_a_program_saves_before_its_lab_ends(deployment: Deployment, login: str, stop: Stop) -> None:
    account = deployment.github.world.add_account(login)
    start_program(deployment, account)
    stop(deployment, account)
    wait_until(lambda: not cluster.exists("pod", deployment.lab(account), namespace=LABS), "the pod is gone", 120)
    check_saved(account)
    deployment.wait_stopped(login)


def test_the_page_shows_that_a_lab_saves_and_stops(browser: Browser, deployment: Deployment, screenshots: Path) -> None:
    with page_of(browser, deployment, "dora") as page:
        choose(page, "recommended", "small")
        expect_lab(page, "dora")
        account = deployment.github.world.find_account("dora")
        assert account is not None
        run_program(deployment, account, SLOW_SECONDS)
        page.goto(f"{URL}/hub/home")
        page.get_by_role("button", name="Stop my lab").click()
        expect(page.get_by_text(STOPPING).first).to_be_visible()
        take_pictures(page, screenshots, "stop-asked")
        page.wait_for_url("**/hub/spawn-pending/dora")
        expect(page.get_by_role("heading", name=STOPPING)).to_be_visible()
        expect(page.get_by_text(f"up to {STOP_SECONDS} seconds")).to_be_visible()
        take_pictures(page, screenshots, "stopping")
        # The page reloads by itself until the lab has stopped.
        expect(page.get_by_role("link", name="Start my lab")).to_be_visible(timeout=60_000)
        check_saved(account)


def test_the_page_names_a_finalizer_that_holds_the_pod(
    browser: Browser, deployment: Deployment, screenshots: Path
) -> None:
    with page_of(browser, deployment, "emil") as page:
        choose(page, "recommended", "small")
        expect_lab(page, "emil")
        pod = pod_name(deployment, "emil")
        set_finalizers(pod, HOLD)
        try:
            asked = time.monotonic()
            page.goto(f"{URL}/hub/home")
            page.get_by_role("button", name="Stop my lab").click()
            deployment.wait_stopped("emil")
            stopped = time.monotonic() - asked
            page.goto(f"{URL}/hub/spawn")
            asked = choose(page, "recommended", "small")
            expect(page.locator("#detail")).to_contain_text(HOLD, timeout=30_000)
            take_pictures(page, screenshots, "held")
            message = failure(page, STOP_SECONDS + KUBELET_SECONDS + 30)
            failed = time.monotonic() - asked
            take_pictures(page, screenshots, "held-failed")
        finally:
            set_finalizers(pod)
        assert "Your previous lab has ended, but Kubernetes cannot remove its pod." in message
        assert f"Pod: {pod}. Finalizers: {HOLD}" in message
        assert "Kubernetes does not answer" not in deployment.log()
        restart(page, "emil")
    print(f"stopped after {stopped:.1f} s, the start failed after {failed:.1f} s")  # noqa: T201  (a measurement)


def restart(page: Page, login: str) -> None:
    """Start a lab from the spawn page."""
    page.goto(f"{URL}/hub/spawn")
    choose(page, "recommended", "small")
    expect_lab(page, login)


def test_a_slow_pod_on_a_ready_node_is_not_removed_by_force(browser: Browser, deployment: Deployment) -> None:
    with page_of(browser, deployment, "fritz") as page:
        pod = pod_name(deployment, "fritz")
        # A pod of this name that ignores SIGTERM stands for a lab that kubelet cannot end.
        cluster.apply(slow_pod(pod))
        try:
            kubectl("wait", "--for=condition=Ready", f"pod/{pod}", "--namespace", LABS, "--timeout=60s")
            uid = pod_uid(pod)
            choose(page, "recommended", "small")
            expect(page.locator("#notice")).to_have_text("Waiting until your previous lab has stopped", timeout=30_000)
            message = failure(page, STOP_SECONDS + KUBELET_SECONDS + 30)
            assert "Your previous lab is still stopping." in message
            assert pod_uid(pod) == uid
            assert kubectl("exec", pod, "--namespace", LABS, "--", "echo", "runs") == "runs\n"
        finally:
            kubectl("delete", "pod", pod, "--namespace", LABS, "--force", "--grace-period=0", "--ignore-not-found")
        restart(page, "fritz")
