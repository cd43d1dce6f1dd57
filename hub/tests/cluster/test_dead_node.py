"""Tests of labs on a node that loses its power.

The hub's pages report the dead node, and users start new labs on another node within two minutes.

The tests need the environment variable SECOND_NODE, which `labtesting.second_node` describes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from labtesting import cluster
from labtesting.cluster import LABS, kubectl
from labtesting.github import Account
from labtesting.hub_process import wait_until
from labtesting.second_node import SecondNode, cordoned, first_node, need_second_node, run_second_node
from labtesting.visitor import Visitor
from playwright.sync_api import Browser, Page, expect

from hub.tests.cluster.deployment import Deployment
from hub.tests.cluster.node import STORAGE
from hub.tests.cluster.objects import URL
from hub.tests.cluster.pages import choose, expect_lab, log_in, take_pictures
from hub.tests.cluster.pods import pod_uid
from tools.components import version

# Maximum time in seconds from the request for a new lab until the lab works
NEW_LAB_SECONDS = 120
# Two users with labs on the dead node. ASKING starts a new lab at once. WAITING does nothing until Kubernetes has
# deleted the pod.
ASKING, WAITING = "otto", "paula"
LAB_IMAGE = f"lsstsqre/jupyterlabdemo:{version()}"


@pytest.fixture(scope="module")
def program() -> tuple[str, ...]:
    """Return the program that starts and kills the second node."""
    return need_second_node()


@pytest.fixture(scope="module")
def dead_node(program: tuple[str, ...], deployment: Deployment) -> Iterator[SecondNode]:
    """Start a lab of each user on the second node, kill the node, and yield the node."""
    with run_second_node(program, LAB_IMAGE) as node:
        # Pods of this node cannot mount the homes of the first node, so create folders for homes on this node.
        node.run(f"mkdir -p {STORAGE}; mount -t tmpfs none {STORAGE}; mkdir {STORAGE}/home {STORAGE}/project")
        with cordoned(first_node()):
            for login in (ASKING, WAITING):
                start_lab(deployment, node, login)
        node.kill()
        # By default Kubernetes deletes the pods of a dead node after 300 s. The test does not wait, and deletes one pod
        # itself.
        kubectl("delete", "pod", lab(deployment, WAITING), "--namespace", LABS, "--wait=false")
        killed = time.monotonic()
        wait_until(lambda: not node.is_ready(), "Kubernetes marks the node", 120)
        print(f"NotReady after {time.monotonic() - killed:.0f} s")  # noqa: T201  (a measurement)
        yield node


def start_lab(deployment: Deployment, node: SecondNode, login: str) -> None:
    """Log in as a new member, and start a lab on the second node."""
    visitor, account = deployment.member(login)
    node.run(f"install -d -m 700 -o {account.id} -g {account.id} {STORAGE}/home/{account.id}")
    visitor.submit_spawn_form(image="recommended", size="small")
    wait_until(lambda: visitor.reaches_lab(login), f"the lab of {login} answers", 180)
    assert node_of(lab(deployment, login)) == node.name


def find_account(deployment: Deployment, login: str) -> Account:
    """Return the account of a user at the fake GitHub."""
    account: Account | None = deployment.github.world.find_account(login)
    assert account is not None
    return account


def lab(deployment: Deployment, login: str) -> str:
    """Return the name of the pod of a user's lab."""
    return deployment.lab(find_account(deployment, login))


def node_of(pod: str) -> str:
    """Return the name of the node that a lab's pod is on."""
    return str(cluster.get("pod", pod, namespace=LABS)["spec"]["nodeName"])


def check_new_lab(deployment: Deployment, login: str, former_uid: str) -> None:
    """Check that a user's new lab is on the first node and executes code."""
    pod = lab(deployment, login)
    assert (pod_uid(pod) != former_uid, node_of(pod)) == (True, first_node())
    with Visitor(URL, login, deployment.tls) as visitor:
        visitor.log_in()
        assert visitor.reaches_lab(login)
        with deployment.client(visitor, login).kernel("python3") as kernel:
            assert kernel.execute("print(6 * 7)").stdout == "42\n"


def test_a_user_starts_a_new_lab_within_two_minutes(
    browser: Browser, deployment: Deployment, dead_node: SecondNode, screenshots: Path
) -> None:
    uid = pod_uid(lab(deployment, ASKING))
    with log_in(browser, ASKING) as page:
        expect_lost_node(page, "/hub/spawn", dead_node)
        take_pictures(page, screenshots, "lost-lab")
        expect_lost_node(page, "/hub/home", dead_node)
        take_pictures(page, screenshots, "lost-node")
        asked = time.monotonic()
        page.get_by_role("button", name="Start a new lab").click()
        page.wait_for_url(f"**/hub/spawn/{ASKING}")
        stopped = time.monotonic() - asked
        choose(page, "recommended", "small")
        expect_lab(page, ASKING)
        check_new_lab(deployment, ASKING, uid)
        duration = time.monotonic() - asked
    print(f"stopped after {stopped:.1f} s, a new lab after {duration:.1f} s")  # noqa: T201  (a measurement)
    assert duration < NEW_LAB_SECONDS


def expect_lost_node(page: Page, path: str, node: SecondNode) -> None:
    """Reload a page until the page reports that the node does not answer.

    Kubernetes changes the status of the dead node's pods one by one.
    """
    deadline = time.monotonic() + 60
    while page.goto(URL + path) and not page.locator("#lost-node").count():
        assert time.monotonic() < deadline, page.content()
        page.wait_for_timeout(500)
    expect(page.locator("#lost-node")).to_contain_text("does not answer")
    if path == "/hub/spawn":
        expect(page.locator("#lost-node")).to_contain_text(node.name)


def test_a_lab_that_kubernetes_has_deleted_ends(
    browser: Browser, deployment: Deployment, dead_node: SecondNode, screenshots: Path
) -> None:
    pod = lab(deployment, WAITING)
    uid = pod_uid(pod)
    with log_in(browser, WAITING) as page:
        # The pod stays `Terminating`. The hub treats the lab as ended when the pod's grace period and 30 s have passed.
        wait_until(lambda: not deployment.server(WAITING), "the hub ends the lab", 180)
        assert pod_uid(pod) == uid, "no user has asked for a new lab"
        page.goto(f"{URL}/hub/spawn")
        expect(page.get_by_text("because its node failed")).to_be_visible()
        page.get_by_text("Details from Kubernetes").click()
        expect(page.get_by_text(f"The node {dead_node.name} does not answer.")).to_be_visible()
        take_pictures(page, screenshots, "ended-by-node")
        asked = choose(page, "recommended", "small")
        expect_lab(page, WAITING)
        check_new_lab(deployment, WAITING, uid)
        duration = time.monotonic() - asked
    print(f"a new lab after {duration:.1f} s")  # noqa: T201  (a measurement)
    assert duration < NEW_LAB_SECONDS
