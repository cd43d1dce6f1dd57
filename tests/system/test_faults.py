"""Tests of faults of a whole site: users lose no work, and no event is lost.

Faults of a single component are covered by the component's tests. docs/dev/faults.md lists all faults and their tests.
"""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from labtesting.cluster import LABS, NAMESPACE, get, kubectl, wait_for_rollout
from labtesting.hub_process import wait_until
from playwright.sync_api import Browser

from tests.system.deployment import DEPLOYMENTS, ROOT, URL, Deployment, log_in
from tools.components import version

SECONDS = 1000
LABEL = f"app.kubernetes.io/version: {version()}"


@contextmanager
def polling(site: Deployment, path: str) -> Iterator[list[str]]:
    """Request a page repeatedly, each time over a new connection.

    Yield the list of failed requests, which grows until the end of the block.
    """
    failed: list[str] = []
    done = threading.Event()

    def request_page() -> None:
        while not done.wait(0.05):
            try:
                status = httpx.get(URL + path, verify=site.trust, timeout=10).status_code
            except httpx.HTTPError as error:
                failed.append(repr(error))
            else:
                failed.extend([str(status)] if status >= 500 else [])

    thread = threading.Thread(target=request_page)
    thread.start()
    try:
        yield failed
    finally:
        done.set()
        thread.join()


def test_restart_of_nginx_refuses_no_request(site: Deployment) -> None:
    with polling(site, "/hub/health") as failed:
        kubectl("rollout", "restart", "deployment/nginx", "--namespace", NAMESPACE)
        wait_for_rollout("nginx", 120)
    assert failed == []


def test_restarted_proxy_reaches_the_labs_again(site: Deployment) -> None:
    site.member("hedy")
    visitor = site.visit("hedy")
    visitor.spawn("hedy", image="recommended", size="small")
    lab = site.client(visitor)
    with lab.kernel("python3", shut_down=False) as kernel:
        kernel.execute("x = 41")
    kernel_id = lab.request("GET", "api/kernels").json()[0]["id"]
    killed = pod_names("proxy")
    kubectl("delete", "pod", "--namespace", NAMESPACE, "-l", "app.kubernetes.io/component=proxy", "--force")
    # The killed proxy still answers for a moment. So wait for the new pod before the check of the answers.
    wait_until(lambda: pod_names("proxy") - killed, "there is a new proxy", 30)
    kubectl("wait", "pod", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=proxy", "--for=condition=Ready")
    wait_until(lambda: visitor.reaches_lab("hedy"), "the proxy reaches the lab again")
    assert [kernel["id"] for kernel in lab.request("GET", "api/kernels").json()] == [kernel_id]


def test_upgrade_keeps_running_labs(site: Deployment) -> None:
    """Check that a lab keeps its kernel during an upgrade.

    The test simulates an upgrade: it changes only the version label of the manifests, so that each Deployment rolls
    out.
    """
    site.member("lise")
    visitor = site.visit("lise")
    visitor.spawn("lise", image="recommended", size="small")
    lab = site.client(visitor)
    kernel_id = lab.request("POST", "api/kernels", json={"name": "python3"}).json()["id"]
    pods = {name: pod_names(name) for name in DEPLOYMENTS}
    # docs/admin/upgrade.md applies the components in this order.
    for name in ("logstashrmq", "fileserver", "hub", "nginx"):
        for file in sorted((ROOT / name / "kubernetes").glob("*deployment.yaml")):
            kubectl(
                "apply", "--filename", "-", stdin=file.read_text().replace(LABEL, "app.kubernetes.io/version: next")
            )
        for deployment in {name, *(["proxy"] if name == "hub" else [])}:
            wait_for_rollout(deployment, 120)
    assert all(pods[name].isdisjoint(pod_names(name)) for name in DEPLOYMENTS)
    wait_until(lambda: visitor.reaches_lab("lise"), "the proxy reaches the lab")
    assert [kernel["id"] for kernel in lab.request("GET", "api/kernels").json()] == [kernel_id]


def pod_names(component: str) -> set[str]:
    """Return the names of a component's pods, except pods that are being deleted."""
    pods = get("pods", selector=f"app.kubernetes.io/component={component}")
    return {pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]}


def test_events_arrive_after_an_outage_of_the_broker(site: Deployment) -> None:
    account = site.member("ida")
    visitor = site.visit("ida")
    site.broker.kill()
    visitor.spawn("ida", image="recommended", size="small")
    lab, mark = site.client(visitor), uuid.uuid4().hex
    for _ in range(3):
        with lab.kernel("python3") as kernel:
            assert kernel.execute(f"print('{mark}')").stdout == f"{mark}\n"
    site.broker.start()

    def actions() -> list[str]:
        events = [event for event in site.read_events() if event.get("user.id") == str(account.id)]
        return [event["event.action"] for event in events if event["event.dataset"] == "lab.session"]

    wait_until(lambda: actions().count("kernel_stop") >= 3, "the events of three kernels arrive", 120)
    assert {"session_start", "kernel_start"} <= set(actions())


def test_starting_lab_waits_for_the_fileserver(site: Deployment, browser: Browser, screenshots: Path) -> None:
    site.member("joan")
    page = browser.new_page()
    page.set_default_timeout(180 * SECONDS)
    log_in(page, "joan")
    scale = ("scale", "deployment/fileserver", "--namespace", NAMESPACE)
    kubectl(*scale, "--replicas=0")
    try:
        wait_until(lambda: not pod_names("fileserver"), "the fileserver's pod is deleted", 30)
        page.get_by_role("button", name="Start", exact=True).click()
        page.get_by_text("Waiting for the shared storage").first.wait_for()
        page.screenshot(path=screenshots / "system-waiting.png")
    finally:
        kubectl(*scale, "--replicas=1")
    page.locator(".jp-LauncherCard").first.wait_for()
    visitor = site.visit("joan")
    assert visitor.reaches_lab("joan")
    with site.client(visitor).kernel("python3") as kernel:
        kernel.execute("open('kept', 'w').write('all data')")
        assert kernel.execute("print(open('kept').read())").stdout == "all data\n"
    wait_for_rollout("fileserver", 120)


def test_files_survive_the_drain_of_a_node(site: Deployment) -> None:
    account = site.member("kay")
    visitor = site.visit("kay")
    visitor.spawn("kay", image="recommended", size="small")
    with site.client(visitor).kernel("python3") as kernel:
        kernel.execute("open('kept', 'w').write('before')")
    (node,) = [node["metadata"]["name"] for node in get("nodes")]
    # Do not evict nginx and the relay: on a cluster with one node, their disruption budgets would block the eviction of
    # their last pods.
    options = ["--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=200s"]
    selector = (
        "--pod-selector=app.kubernetes.io/part-of=jupyterlabdemo,app.kubernetes.io/component notin (nginx,logstashrmq)"
    )
    try:
        kubectl("drain", node, *options, selector, timeout=220)
    finally:
        kubectl("uncordon", node)
    for name in ("fileserver", "hub", "proxy"):
        wait_for_rollout(name, 120)
    assert get("pods", namespace=LABS, selector=f"jupyterlabdemo.lsst.io/github-id={account.id}") == []
    wait_until(visitor.is_logged_in, "the hub answers")
    # The page may show either message. The hub was on the drained node, too, so it may not have observed why the lab
    # ended.
    assert re.search("drained for maintenance|could not observe it", visitor.get("/hub/spawn").text)
    visitor.spawn("kay", image="recommended", size="small")
    with site.client(visitor).kernel("python3") as kernel:
        assert kernel.execute("print(open('kept').read())").stdout == "before\n"
