"""Labs that do not come or do not last: the reason is on the page, soon."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from labhub.web.spawn import RECENT_SECONDS
from labtesting import cluster
from labtesting.browser import open_browser
from labtesting.cluster import LABS, kubectl
from labtesting.github import Trouble
from labtesting.hub_process import wait_until
from playwright.sync_api import Browser, Page

from hub.tests.cluster.deployment import Deployment
from hub.tests.cluster.node import node_command
from hub.tests.cluster.objects import URL

pytestmark = pytest.mark.timeout(300)
# Seconds from the click until the page has to say why
SOON = 15
SHOWN = ".alert-danger:visible"  # each page has one for errors of its scripts, hidden


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Give a Chromium."""
    with open_browser() as found:
        yield found


@contextmanager
def page_of(browser: Browser, deployment: Deployment, login: str) -> Iterator[Page]:
    """Give the page on which somebody chooses their lab, after they have logged in."""
    account = deployment.github.world.add_account(login)
    deployment.join(account, "lsst-sqre")
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    page.goto(f"{URL}/hub/oauth_login?next=/hub/spawn")
    page.locator(f"[value={login}]").click()
    page.wait_for_url("**/hub/spawn*")
    try:
        yield page
    finally:
        context.close()


def choose(page: Page, image: str, size: str) -> float:
    """Choose with the keyboard, as a person without a mouse; give the time of the click."""
    page.locator(f"input[value={image}]").focus()
    page.keyboard.press("Space")
    page.locator(f"input[value={size}]").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    begun = time.monotonic()
    page.keyboard.press("Enter")
    return begun


def failure(page: Page) -> str:
    """Wait until the page says that the lab will not come; give what it says."""
    page.locator("text=Your lab did not start").or_(page.locator(SHOWN)).first.wait_for(timeout=60_000)
    # The page that waits; the one that says it of a lab that is over before that page is there; the form.
    return page.locator(f"#progress-message, #lab-message, {SHOWN}").first.inner_text()


@pytest.mark.parametrize(
    ("login", "image", "size", "said"),
    [
        ("fay", "missing", "small", "The image localhost:1/missing/image:0 cannot be pulled."),
        ("gus", "recommended", "impossible", "No node of the cluster has room for a lab of this size"),
        ("hal", "broken", "small", "labhub: JUPYTERHUB_CRYPT_KEY: missing, wanted 32 random bytes"),
    ],
    ids=["an image that is not there", "a size that fits nowhere", "a crash, with its last lines"],
)
def test_the_reason_is_on_the_page_soon(
    browser: Browser, deployment: Deployment, login: str, image: str, size: str, said: str
) -> None:
    with page_of(browser, deployment, login) as page:
        begun = choose(page, image, size)
        assert said in failure(page)
        took = time.monotonic() - begun
    assert took < SOON
    print(f"{image} {size}: {took:.1f} s")  # noqa: T201  (the figure of the closing note)
    wait_until(lambda: not deployment.server(login), "the hub lets go")
    pod = f"lab-{deployment.github.world.find_account(login).id}"  # type: ignore[union-attr]
    wait_until(lambda: not cluster.exists("pod", pod, namespace=LABS), "the pod goes")
    # What Kubernetes says is in the log, what the lab printed is not.
    assert f"{login}: the lab did not start: " in deployment.log()
    assert (said in deployment.log()) == (image != "broken")


def test_a_used_up_quota_is_said(browser: Browser, deployment: Deployment) -> None:
    quota = {"metadata": {"name": "test", "namespace": LABS}, "spec": {"hard": {"pods": "0"}}}
    cluster.apply({"apiVersion": "v1", "kind": "ResourceQuota", **quota})
    try:
        with page_of(browser, deployment, "ian") as page:
            choose(page, "recommended", "small")
            assert "There is no room for another lab: the site's quota is used up." in failure(page)
    finally:
        kubectl("delete", "resourcequota", "test", "--namespace", LABS)


def test_a_home_that_is_somebody_elses_is_not_used(browser: Browser, deployment: Deployment) -> None:
    with page_of(browser, deployment, "joe") as page:
        uid = deployment.github.world.find_account("joe").id  # type: ignore[union-attr]
        node_command("hub-test-steal", f"mkdir -m 777 /storage/home/{uid}")
        choose(page, "recommended", "small")
        told = failure(page)
        assert "Your home could not be made ready." in told
        assert f"/home/{uid}: found owner 0, wanted {uid}" in told


def test_a_github_that_takes_its_time_is_waited_for(deployment: Deployment) -> None:
    visitor, _ = deployment.member("lou")
    world = deployment.github.world
    time.sleep(RECENT_SECONDS)  # until then the login's answer is good for a spawn, too
    world.trouble = Trouble("hang")
    over = threading.Timer(3, setattr, (world, "trouble", None))
    over.start()
    try:
        page = visitor.choose(image="recommended", size="small")
    finally:
        over.join()
    # JupyterHub's own page says after a second of this that no lab starts.
    assert page.url.path == "/hub/spawn-pending/lou"
    assert "/progress" in page.text
    wait_until(lambda: visitor.reaches_lab("lou"), "the lab of lou answers")


def test_a_lab_that_used_too_much_memory_is_explained(deployment: Deployment) -> None:
    visitor, account = deployment.member("kim")
    # The lab's own process: which of several the kernel of a node ends differs between nodes.
    hungry = "import threading; threading.Timer(8, lambda: print(len(bytes(10**6) * 1000))).start()"
    home = f"/storage/home/{account.id}"
    write = f"mkdir -p {home}/.jupyter && echo '{hungry}' > {home}/.jupyter/jupyter_server_config.py"
    node_command("hub-test-hungry", f"{write} && chmod 700 {home} && chown -R {account.id}:{account.id} {home}")
    visitor.spawn("kim", image="recommended", size="tiny")
    deployment.wait_stopped("kim")
    assert "The lab used more memory than its size allows" in visitor.get("/hub/spawn").text
    assert "The lab used more memory than its size allows" in visitor.get("/hub/user/kim/lab").text


def test_a_lab_whose_node_was_emptied_is_explained(deployment: Deployment) -> None:
    visitor, account = deployment.member("lea")
    visitor.spawn("lea", image="recommended", size="small")
    name = deployment.lab(account)
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": LABS}}
    path = f"/api/v1/namespaces/{LABS}/pods/{name}/eviction"
    kubectl("create", "--raw", path, "--filename", "-", stdin=json.dumps(eviction))
    deployment.wait_stopped("lea")
    assert "ended with its node, which went away or was emptied" in visitor.get("/hub/spawn").text
