"""Tests of labs that do not start or that end early. The hub's pages show the reason within seconds."""

from __future__ import annotations

import threading
import time

import pytest
from labhub.web.spawn import RECENT_SECONDS
from labtesting import cluster
from labtesting.cluster import LABS, kubectl
from labtesting.github import Trouble
from labtesting.hub_process import wait_until
from labtesting.registry import Registry
from playwright.sync_api import Browser

from hub.tests.cluster.deployment import Deployment
from hub.tests.cluster.node import node_command
from hub.tests.cluster.objects import IMAGES
from hub.tests.cluster.pages import SOON, choose, failure, page_of, pod_name
from hub.tests.cluster.pods import evict


@pytest.mark.parametrize(
    ("login", "image", "size", "message"),
    [
        ("fay", "missing", "small", f"The image {IMAGES['missing']} cannot be pulled."),
        ("gus", "denied", "small", f"The image {IMAGES['denied']} cannot be pulled."),
        ("hal", "broken", "small", "labhub: JUPYTERHUB_CRYPT_KEY: missing, wanted 32 random bytes"),
    ],
    ids=["a missing image", "a private image", "a crash, with its last lines"],
)
def test_page_shows_the_spawn_failure_within_seconds(
    browser: Browser, deployment: Deployment, registry: Registry, login: str, image: str, size: str, message: str
) -> None:
    registry.faults |= {"missing/lab": 404, "denied/lab": 401}
    with page_of(browser, deployment, login) as page:
        started = choose(page, image, size)
        assert message in failure(page)
        duration = time.monotonic() - started
    assert duration < SOON
    print(f"{image} {size}: {duration:.1f} s")  # noqa: T201  (a measurement for the documentation)
    wait_until(lambda: not deployment.server(login), "the hub has released the lab")
    pod = pod_name(deployment, login)
    wait_until(lambda: not cluster.exists("pod", pod, namespace=LABS), "the pod is deleted")
    # The hub's log contains the message of Kubernetes, but not the output of a lab. Only the image `broken` has started
    # and written output.
    assert f"{login}: the lab did not start: " in deployment.log()
    assert (message in deployment.log()) == (image != "broken")


def test_page_reports_an_exhausted_quota(browser: Browser, deployment: Deployment) -> None:
    quota = {"metadata": {"name": "test", "namespace": LABS}, "spec": {"hard": {"pods": "0"}}}
    cluster.apply({"apiVersion": "v1", "kind": "ResourceQuota", **quota})
    try:
        with page_of(browser, deployment, "ian") as page:
            choose(page, "recommended", "small")
            assert "The site's quota has no room for another lab." in failure(page)
    finally:
        kubectl("delete", "resourcequota", "test", "--namespace", LABS)


def test_home_owned_by_another_user_is_refused(browser: Browser, deployment: Deployment) -> None:
    with page_of(browser, deployment, "joe") as page:
        uid = deployment.github.world.find_account("joe").id  # type: ignore[union-attr]
        node_command("hub-test-steal", f"mkdir -m 777 /storage/home/{uid}")
        choose(page, "recommended", "small")
        message = failure(page)
        assert "Your home or a project folder is not available." in message
        assert f"/home/{uid}: found owner 0, wanted {uid}" in message


def test_slow_github_delays_the_start_of_a_lab(deployment: Deployment) -> None:
    visitor, _ = deployment.member("lou")
    world = deployment.github.world
    time.sleep(RECENT_SECONDS)  # after this time, a spawn repeats the login's membership check
    world.trouble = Trouble("hang")
    recovery = threading.Timer(3, setattr, (world, "trouble", None))
    recovery.start()
    try:
        page = visitor.submit_spawn_form(image="recommended", size="small")
    finally:
        recovery.join()
    # Without the hub's patch, JupyterHub would redirect after one second, and the page would report that no lab is
    # starting.
    assert page.url.path == "/hub/spawn-pending/lou"
    assert "/progress" in page.text
    wait_until(lambda: visitor.reaches_lab("lou"), "the lab of lou answers")


def test_lab_without_memory_is_explained(deployment: Deployment) -> None:
    visitor, account = deployment.member("kim")
    # Allocate the memory in the lab's main process. If several processes used the memory, nodes would differ in which
    # process they kill.
    hungry = "import threading; threading.Timer(8, lambda: print(len(bytes(10**6) * 1000))).start()"
    home = f"/storage/home/{account.id}"
    write = f"mkdir -p {home}/.jupyter && echo '{hungry}' > {home}/.jupyter/jupyter_server_config.py"
    node_command("hub-test-hungry", f"{write} && chmod 700 {home} && chown -R {account.id}:{account.id} {home}")
    visitor.spawn("kim", image="recommended", size="tiny")
    deployment.wait_stopped("kim")
    assert "it used more memory than its size allows" in visitor.get("/hub/spawn").text
    assert "it used more memory than its size allows" in visitor.get("/hub/user/kim/lab").text


def test_eviction_of_a_lab_is_explained(deployment: Deployment) -> None:
    visitor, account = deployment.member("lea")
    visitor.spawn("lea", image="recommended", size="small")
    evict(deployment.lab(account))
    deployment.wait_stopped("lea")
    assert "its node failed or was drained for maintenance" in visitor.get("/hub/spawn").text
