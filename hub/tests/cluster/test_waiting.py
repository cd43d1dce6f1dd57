"""Tests of labs that wait for a node. The progress page shows the wait, and the user can cancel the start."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from labhub.labs.starting.start_problem import NODE_NOTICES
from labtesting import cluster
from labtesting.cluster import LABS
from labtesting.hub_process import wait_until
from playwright.sync_api import Browser, Page, expect

from hub.tests.cluster.deployment import Deployment
from hub.tests.cluster.full_cluster import full_cluster, make_room, send_event, send_new_event, send_odd_events
from hub.tests.cluster.pages import SOON, choose, expect_lab, failure, page_of, pod_name, take_pictures
from hub.tests.cluster.pods import pod_uid

FULL, TOO_SMALL, COMING, DECLINED = (
    NODE_NOTICES[kind].format(limit="10 minutes") for kind in ("full", "too_small", "coming", "declined")
)
SCALE_UP = "pod triggered scale-up: [{pool-a 1->2 (max: 3)}]"
NO_FIT = "pod didn't trigger scale-up: 1 Insufficient memory, 1 node(s) had untolerated taint(s)"
AT_MAXIMUM = "pod didn't trigger scale-up: 1 max node group size reached"
# Seconds until a node has room again, in the test of a cluster that is full at first
GROWTH_SECONDS = 60


@pytest.fixture
def full() -> Iterator[None]:
    """Fill all nodes of the cluster with pods until the end of the test."""
    with full_cluster():
        yield


def expect_notice(page: Page, text: str, seconds: float = SOON) -> None:
    """Wait until the progress page shows a notice with this text."""
    expect(page.locator("#notice")).to_have_text(text, timeout=seconds * 1000)


def gone(deployment: Deployment, login: str) -> bool:
    """Return whether the hub has no lab of a user, and Kubernetes has no pod of the user's lab."""
    return not deployment.server(login) and not cluster.exists("pod", pod_name(deployment, login), namespace=LABS)


def test_lab_starts_on_a_node_added_after_a_minute(
    browser: Browser, deployment: Deployment, full: None, screenshots: Path
) -> None:
    with page_of(browser, deployment, "nora") as page:
        started = choose(page, "recommended", "small")
        expect_notice(page, FULL)
        shown = time.monotonic() - started
        assert shown < SOON
        expect(page.locator("#detail")).to_contain_text("Insufficient cpu")
        take_pictures(page, screenshots, "waiting")
        wait_until(lambda: time.monotonic() - started > GROWTH_SECONDS, "a minute has passed", GROWTH_SECONDS + 10)
        assert deployment.server("nora")["pending"] == "spawn"
        make_room()
        expect_lab(page, "nora")
    print(f"shown after {shown:.1f} s, ran after {time.monotonic() - started:.1f} s")  # noqa: T201  (a measurement)


def test_the_page_shows_the_answers_of_an_autoscaler(
    browser: Browser, deployment: Deployment, full: None, screenshots: Path
) -> None:
    with page_of(browser, deployment, "olga") as page:
        choose(page, "recommended", "small")
        expect_notice(page, FULL)
        pod = pod_name(deployment, "olga")
        send_event(pod, "1", reason="NotTriggerScaleUp", message=AT_MAXIMUM, lastTimestamp="2026-11-30T12:00:00Z")
        expect_notice(page, DECLINED)
        expect(page.locator("#detail")).to_have_text(AT_MAXIMUM)
        send_new_event(pod, "2", reason="TriggeredScaleUp", note=SCALE_UP, component="cluster-autoscaler")
        expect_notice(page, COMING)
        take_pictures(page, screenshots, "node-comes")
        make_room()
        expect_lab(page, "olga")


def test_a_size_that_no_node_type_has_fails_at_once(
    browser: Browser, deployment: Deployment, screenshots: Path
) -> None:
    with page_of(browser, deployment, "pat") as page:
        started = choose(page, "recommended", "impossible")
        expect_notice(page, TOO_SMALL)
        assert time.monotonic() - started < SOON
        take_pictures(page, screenshots, "too-small")
        # After the scheduler's message the start continues, because an autoscaler could add a larger node. The
        # autoscaler's message then proves that it never adds such a node.
        assert deployment.server("pat")["pending"] == "spawn"
        send_event(pod_name(deployment, "pat"), "1", reason="NotTriggerScaleUp", message=NO_FIT)
        answered = time.monotonic()
        assert "No node of this site is large enough for this size." in failure(page)
        assert time.monotonic() - answered < SOON
        take_pictures(page, screenshots, "too-large")
    wait_until(lambda: gone(deployment, "pat"), "the lab is released")


def test_malformed_events_do_not_stop_a_start(browser: Browser, deployment: Deployment, full: None) -> None:
    with page_of(browser, deployment, "quin") as page:
        choose(page, "recommended", "small")
        expect_notice(page, FULL)
        send_odd_events(pod_name(deployment, "quin"))
        # One of the odd events has a message. When the page shows this message, the hub has read the odd events.
        expect(page.locator("#progress-log")).to_contain_text("a made-up event", timeout=SOON * 1000)
        make_room()
        expect_lab(page, "quin")
    assert "the watch of events was lost" not in deployment.log()


def test_a_user_cancels_the_wait_and_starts_another_size(browser: Browser, deployment: Deployment) -> None:
    with page_of(browser, deployment, "rosa") as page:
        choose(page, "recommended", "impossible")
        expect_notice(page, TOO_SMALL)
        page.get_by_role("button", name="Cancel the start").click()
        page.wait_for_url("**/hub/spawn/rosa", timeout=SOON * 1000)
        assert gone(deployment, "rosa")
        choose(page, "recommended", "small")
        expect_lab(page, "rosa")
    assert deployment.metric("labhub_spawn_failures_total", reason="cancelled") >= 1


def test_only_the_user_cancels_a_start_and_only_once(deployment: Deployment) -> None:
    owner, _ = deployment.member("saul")
    other, _ = deployment.member("tara")
    owner.submit_spawn_form(image="recommended", size="impossible")
    wait_until(lambda: cluster.exists("pod", pod_name(deployment, "saul"), namespace=LABS), "the pod exists")
    path = "/hub/api/users/saul/server"
    assert owner.http.delete(path).status_code == 403, "without the XSRF token"
    assert other.http.delete(path, headers=other.xsrf()).status_code in {403, 404}, "by another user"
    assert deployment.server("saul")["pending"] == "spawn"
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda _: owner.http.delete(path, headers=owner.xsrf()).status_code, range(3)))
    assert set(answers) <= {202, 204}
    wait_until(lambda: gone(deployment, "saul"), "the lab is released")
    assert owner.http.delete(path, headers=owner.xsrf()).status_code == 204, "no start is pending"
    owner.spawn("saul", image="recommended", size="small")


def test_a_killed_hub_continues_the_wait(browser: Browser, deployment: Deployment, full: None) -> None:
    with page_of(browser, deployment, "uma") as page:
        choose(page, "recommended", "small")
        expect_notice(page, FULL)
        uid = pod_uid(pod_name(deployment, "uma"))
        deployment.kill_hub()
        wait_until(lambda: not deployment.is_up(), "the hub is down")
        wait_until(deployment.is_up, "the hub answers")
        page.reload()
        expect_notice(page, FULL, 120)
        make_room()
        expect_lab(page, "uma")
        assert pod_uid(pod_name(deployment, "uma")) == uid


def test_a_start_is_cancelled_after_a_restart_of_the_hub(deployment: Deployment) -> None:
    visitor, _ = deployment.member("vito")
    visitor.submit_spawn_form(image="recommended", size="impossible")
    wait_until(lambda: cluster.exists("pod", pod_name(deployment, "vito"), namespace=LABS), "the pod exists")
    deployment.kill_hub()
    wait_until(lambda: deployment.is_up() and deployment.server("vito").get("pending") == "spawn", "the hub waits", 120)
    path = "/hub/api/users/vito/server"
    assert visitor.http.delete(path, headers=visitor.xsrf()).status_code == 204
    assert gone(deployment, "vito")
    visitor.spawn("vito", image="recommended", size="small")
