"""A site whose labs mount NFS, and labs of its users on a node that can mount NFS.

The site differs from that of the system tests: kubelet mounts the volumes, and nothing ships logs.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from labtesting import cluster
from labtesting.cluster import LABS, NAMESPACE, kubectl
from labtesting.github import Account
from labtesting.hub_process import wait_until
from labtesting.second_node import only_on
from labtesting.visitor import Visitor

from tests.system.deployment import ROOT, URL, Deployment, configure, wait_for_site

DEPLOYMENTS = ("fileserver", "hub", "proxy", "nginx")
SELECTOR = "app.kubernetes.io/component=fileserver"
# With this toleration, the fileserver can start on its cordoned node while other pods can start only on the labs' node.
TOLERATION = {
    "spec": {"template": {"spec": {"tolerations": [{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}]}}}
}
# Timeout for the start of a lab in seconds. A node with one slow processor needs nearly a minute to start two labs.
START_SECONDS = 240


@dataclass(frozen=True)
class Lab:
    """The lab of a user.

    Attributes
    ----------
    node
        The node that mounts NFS.
    """

    site: Deployment
    visitor: Visitor
    account: Account
    node: str

    @property
    def pod(self) -> str:
        """The name of the pod."""
        return f"lab-{self.account.id}"

    @property
    def home(self) -> str:
        """The path of the user's home in the lab."""
        return f"/home/{self.account.login}"

    def run(self, *command: str) -> str:
        """Run a command in the lab, as the user, and return its output."""
        return kubectl("exec", self.pod, "--namespace", LABS, "--container", "notebook", "--", *command)

    def answers(self) -> bool:
        """Return whether the lab answers its user."""
        return self.visitor.reaches_lab(self.account.login)

    def ask_for_start(self) -> None:
        """Submit the form of the spawn page."""
        self.visitor.submit_spawn_form(image="recommended", size="small")

    def wait_started(self) -> None:
        """Wait until the lab answers, and check that it is on the node that mounts NFS."""
        wait_until(self.answers, f"the lab of {self.account.login} answers", START_SECONDS)
        assert cluster.get("pod", self.pod, namespace=LABS)["spec"]["nodeName"] == self.node

    def ask_for_stop(self) -> None:
        """Ask the hub to stop the lab, as the button on the home page does."""
        answer = self.visitor.http.delete(f"/hub/api/users/{self.account.login}/server", headers=self.visitor.xsrf())
        assert answer.status_code in {202, 204}, answer.text

    def model(self) -> dict[str, Any]:
        """Return the hub's REST API object of the lab, or an empty dictionary if the user has no lab."""
        answer = self.visitor.get(f"/hub/api/users/{self.account.login}", headers=self.visitor.xsrf())
        model: dict[str, Any] = answer.raise_for_status().json()["servers"].get("", {})
        return model

    def read_progress(self, until: str) -> str:
        """Return the progress of the start until it contains a text.

        Raises
        ------
        AssertionError
            Raised if the start ends before the progress contains the text.
        """
        # The visitor's own client would wait until the response ends, so use another client.
        path, seen = f"/hub/api/users/{self.account.login}/server/progress", ""
        with (
            httpx.Client(base_url=URL, verify=self.site.trust, cookies=self.visitor.http.cookies, timeout=60) as client,
            client.stream("GET", path, headers=self.visitor.xsrf()) as answer,
        ):
            for text in answer.iter_text():
                seen += text
                if until in seen:
                    return seen
        raise AssertionError(f"the progress has no {until!r}:\n{seen}")


@contextmanager
def deploy(site: Deployment) -> Iterator[None]:
    """Deploy the components that labs need, and delete them at the end of the block."""
    with cluster.own_namespaces():
        configure(site.folder)
        kubectl("apply", "--filename", site.folder / "site")
        script = ROOT / "fileserver/alternatives/in-tree-nfs/apply"
        done = subprocess.run([script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        kubectl("patch", "deployment/fileserver", "--namespace", NAMESPACE, "--patch", json.dumps(TOLERATION))
        for name in ("hub", "nginx"):
            kubectl("apply", "--filename", ROOT / name / "kubernetes")
        wait_for_site(site, DEPLOYMENTS)
        try:
            yield
        finally:
            remove_labs()


def remove_labs() -> None:
    """Stop the hub, start the fileserver if it is stopped, and delete all pods of labs.

    Without the fileserver, a node could not unmount the folders of a lab, and the pod of the lab would not end.
    """
    kubectl("scale", "deployment/hub", "--namespace", NAMESPACE, "--replicas=0")
    scale_fileserver(1)
    cluster.wait_for_rollout("fileserver", 120)
    kubectl("delete", "pods", "--all", "--namespace", LABS, "--timeout=150s")


def start_labs(site: Deployment, node: str, *logins: str) -> list[Lab]:
    """Start the labs of new members at the same time, on a node that is cordoned."""
    accounts = [site.member(login) for login in logins]
    labs = [Lab(site, site.visit(account.login), account, node) for account in accounts]
    with only_on(node):
        for lab in labs:
            lab.ask_for_start()
        for lab in labs:
            lab.wait_started()
    return labs


def scale_fileserver(replicas: int) -> None:
    """Set the number of pods of the fileserver: 0 or 1."""
    kubectl("scale", "deployment/fileserver", "--namespace", NAMESPACE, f"--replicas={replicas}")


def on_disk(*command: str) -> str:
    """Run a command in the fileserver's container, where the disk is /storage, and return its output."""
    return kubectl("exec", "deployment/fileserver", "--namespace", NAMESPACE, "--container", "server", "--", *command)
