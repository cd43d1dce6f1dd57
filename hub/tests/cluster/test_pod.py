"""Tests of a lab's pod: the identity, folders, labels and permissions, and the addresses that the pod can reach."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from labtesting import cluster
from labtesting.browser import open_browser
from labtesting.cluster import LABS, NAMESPACE, KubectlError, get, kubectl
from labtesting.github import Account
from labtesting.hub_process import wait_until
from labtesting.visitor import Visitor

from hub.tests.cluster.deployment import Deployment
from hub.tests.cluster.node import node_command
from hub.tests.cluster.objects import URL, foreign_pod

CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 3).close()
    print("open")
except OSError as error:
    print("closed:", error)
"""


@dataclass
class Person:
    """A user with a running lab."""

    visitor: Visitor
    account: Account
    deployment: Deployment

    def run(self, *command: str) -> str:
        """Run a command in the lab, and return its output."""
        return self.deployment.run(self.account, *command).strip()

    def reaches(self, host: str, port: int) -> bool:
        """Return whether a process in the lab can open a connection to an address."""
        return self.run("python3", "-c", CONNECT, host, str(port)) == "open"

    @property
    def pod(self) -> dict[str, object]:
        """The Kubernetes object of the pod of the user's lab."""
        pod: dict[str, object] = get("pod", self.deployment.lab(self.account), namespace=LABS)
        return pod


@pytest.fixture(scope="module")
def ada(deployment: Deployment) -> Person:
    """Return a member of the allowed organization and of `rubin`, with a running lab."""
    visitor, account = deployment.member("Ada-Amber", "rubin")
    visitor.spawn("ada-amber", image="recommended", size="small")
    return Person(visitor, account, deployment)


@pytest.fixture(scope="module")
def ben(deployment: Deployment) -> Person:
    """Return a second member of the allowed organization and of `rubin`, with a running lab."""
    visitor, account = deployment.member("ben", "rubin")
    visitor.spawn("ben", image="recommended", size="small")
    return Person(visitor, account, deployment)


@pytest.fixture(scope="module")
def cleo(deployment: Deployment) -> Person:
    """Return a member of the allowed organization, but not of `rubin`, with a running lab."""
    visitor, account = deployment.member("cleo")
    visitor.spawn("cleo", image="recommended", size="small")
    return Person(visitor, account, deployment)


def group(deployment: Deployment, name: str) -> int:
    """Return the id of an organization at the fake GitHub."""
    organization = deployment.github.world.find_organization(name)
    assert organization is not None
    return int(organization.id)


def test_lab_runs_as_the_github_user_with_its_groups(ada: Person, deployment: Deployment) -> None:
    uid, first, second = ada.account.id, group(deployment, "lsst-sqre"), group(deployment, "rubin")
    groups = f"{uid}(ada-amber),{first}(lsst-sqre),{second}(rubin)"
    assert ada.run("id") == f"uid={uid}(ada-amber) gid={uid}(ada-amber) groups={groups}"
    assert ada.run("bash", "-lc", "echo $HOME; whoami; pwd").splitlines() == [
        "/home/ada-amber",
        "ada-amber",
        "/home/ada-amber",
    ]


def test_home_is_private_to_the_uid_of_its_user(ada: Person, ben: Person) -> None:
    assert ada.run("stat", "-c", "%a %u %g", "/home/ada-amber") == f"700 {ada.account.id} {ada.account.id}"
    ada.run("sh", "-c", "echo mine > ~/secret")
    with pytest.raises(KubectlError, match="No such file"):
        ben.run("ls", "/home/ada-amber")
    # Labs cannot mount the whole storage. On the storage, the permissions also refuse ben's UID access to ada's home.
    as_ben = f"setpriv --reuid={ben.account.id} --regid={ben.account.id} --clear-groups"
    home = f"/storage/home/{ada.account.id}"
    script = f"test $(cat {home}/secret) = mine && ! {as_ben} cat {home}/secret && ! {as_ben} ls {home}"
    node_command("hub-test-look", script)


def test_members_of_an_organization_share_its_folder(
    ada: Person, ben: Person, cleo: Person, deployment: Deployment
) -> None:
    ada.run("sh", "-c", "umask 007; echo from ada > /project/rubin/note")
    ben.run("sh", "-c", "echo from ben >> /project/rubin/note")
    assert ada.run("cat", "/project/rubin/note").splitlines() == ["from ada", "from ben"]
    assert ben.run("stat", "-c", "%g %a", "/project/rubin") == f"{group(deployment, 'rubin')} 2770"
    assert cleo.run("ls", "/project") == "lsst-sqre"


def test_stack_runs_in_a_lab(ada: Person) -> None:
    with ada.deployment.client(ada.visitor, "ada-amber").kernel("lsst_stack") as kernel:
        output = kernel.execute("import lsst.daf.butler, os; print(os.getuid(), os.environ['LSST_STACK'])", 60)
    assert output.error == ""
    assert output.stdout.split()[0] == str(ada.account.id)


def test_lab_has_no_privileges_and_no_token(ada: Person) -> None:
    status = dict(line.split(":\t", 1) for line in ada.run("cat", "/proc/self/status").splitlines() if ":\t" in line)
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0000000000000000"}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert ada.run("sh", "-c", "touch /x 2>&1 || true").endswith("Read-only file system")
    assert ada.run("sh", "-c", "ls /var/run/secrets 2>&1 || true").endswith("No such file or directory")
    issued = ada.deployment.github.world.issued
    environment = ada.run("env")
    assert not [token for token in issued if token in environment]


def test_labels_name_the_user_of_a_lab(ada: Person) -> None:
    labels = ada.pod["metadata"]["labels"]  # type: ignore[index]
    own = {name.partition("/")[2]: value for name, value in labels.items() if name.startswith("jupyterlabdemo.")}
    assert own == {
        "user": "ada-amber",
        "github-id": str(ada.account.id),
        "image": "recommended",
        "size": "small",
    }


def test_lab_reaches_no_private_address_except_the_hub(ada: Person, ben: Person) -> None:
    for host, port in ((f"hub.{NAMESPACE}", 8081), (f"proxy.{NAMESPACE}", 8000)):
        assert ada.reaches(host, port), host
    other = ben.pod["status"]["podIP"]  # type: ignore[index]
    node = cluster.get("nodes")[0]["status"]["addresses"][0]["address"]
    private = [
        (other, 8888),
        ("kubernetes.default", 443),
        (node, 6443),
        (f"proxy-api.{NAMESPACE}", 8001),
        (node, 10250),
    ]
    assert not [target for target in [*private, ("169.254.169.254", 80)] if ada.reaches(*target)]


@contextmanager
def pod_beside_the_hub(component: str) -> Iterator[str]:
    """Run a pod in the hub's namespace with a component's label, and yield the pod's name.

    The pod lacks the label `app.kubernetes.io/name`, so no Service sends requests to the pod.
    """
    name = f"test-like-{component}"
    pod = foreign_pod(name, **{"app.kubernetes.io/component": component})
    pod["metadata"]["namespace"] = NAMESPACE
    cluster.apply(pod)
    try:
        kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--namespace", NAMESPACE, "--timeout=60s")
        yield name
    finally:
        kubectl("delete", "pod", name, "--namespace", NAMESPACE)


def test_only_the_proxy_reaches_a_lab(ada: Person) -> None:
    lab = str(ada.pod["status"]["podIP"])  # type: ignore[index]

    def reaches(pod: str) -> bool:
        command = ("python", "-c", CONNECT, lab, "8888")
        return kubectl("exec", pod, "--namespace", NAMESPACE, "--", *command).strip() == "open"

    with pod_beside_the_hub("nginx") as other, pod_beside_the_hub("proxy") as proxy:
        # Wait, because a NetworkPolicy applies to a new pod with a delay. When it applies to the pod `proxy`, it also
        # applies to the older pod `other`.
        wait_until(lambda: reaches(proxy), "the NetworkPolicy applies to the new pods", 30)
        assert not reaches(other)


def test_choice_off_the_menu_is_refused(deployment: Deployment) -> None:
    visitor, account = deployment.member("dora")
    page = visitor.submit_spawn_form(image="evil/miner:1", size="small")
    assert page.status_code == 400
    assert "wanted one of recommended, broken, missing" in page.text
    started = deployment.api("POST", "/users/dora/server", json={"image": "recommended", "size": "huge"})
    assert started.status_code == 202
    assert "found &#x27;huge&#x27;, wanted one of small, tiny, impossible" in deployment.progress("dora")
    assert not cluster.exists("pod", deployment.lab(account), namespace=LABS)


def test_the_form_remembers_the_last_choice(deployment: Deployment) -> None:
    visitor, _ = deployment.member("edna")
    visitor.spawn("edna", image="recommended", size="tiny")
    assert deployment.api("DELETE", "/users/edna/server").status_code in {202, 204}
    deployment.wait_stopped("edna")
    form = visitor.get("/hub/spawn").text
    checked = [part.split('"')[0] for part in form.split('value="')[1:] if "checked" in part.split(">")[0]]
    assert checked == ["recommended", "tiny"]


def test_the_form_does_not_scroll_sideways_on_a_phone(deployment: Deployment) -> None:
    deployment.join(deployment.github.world.add_account("fritz"), "lsst-sqre")
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": 390, "height": 700}, ignore_https_errors=True)
        page.goto(f"{URL}/hub/oauth_login?next=/hub/spawn")
        page.locator("[value=fritz]").click()
        page.locator("#spawn_form").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
