"""Nothing that runs is lost, whatever happens to the hub or to Kubernetes' API."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from labtesting import cluster
from labtesting.cluster import LABS, NAMESPACE, get, kubectl
from labtesting.hub_process import wait_until

from hub.tests.cluster.deployment import Deployment, administrator_token
from hub.tests.cluster.objects import LIKE_A_LAB, ORPHAN, STRANGER, nobodys_pod

pytestmark = pytest.mark.timeout(400)
WHO_AM_I = """
import os, urllib.request
headers = {"Authorization": "token " + os.environ["JUPYTERHUB_API_TOKEN"]}
request = urllib.request.Request(os.environ["JUPYTERHUB_API_URL"] + "/user", headers=headers)
print(urllib.request.urlopen(request).read().decode())
"""
LAB = "app.kubernetes.io/component=lab"
LATE_ORPHAN = "lab-4712"


def pod_uid(deployment: Deployment, account: Any) -> str:
    """Give the uid of somebody's pod: another one is another lab."""
    return str(get("pod", deployment.lab(account), namespace=LABS)["metadata"]["uid"])


def labs() -> dict[str, str]:
    """Give the uids of all labs' pods, by name, but for those that are going."""
    found = [pod["metadata"] for pod in get("pods", namespace=LABS, selector=LAB)]
    return {one["name"]: one["uid"] for one in found if "deletionTimestamp" not in one}


def claimed(deployment: Deployment) -> set[str]:
    """Name the pods of all labs that the hub says it has."""
    users = deployment.api("GET", "/users", params={"state": "active", "limit": 200}).json()
    return {server["state"]["pod_name"] for user in users for server in user["servers"].values()}


def wait_reconciled() -> None:
    """Wait until the hub has removed every pod that is nobody's by now: one that is made now is the last of them."""
    cluster.apply(nobodys_pod(LATE_ORPHAN, **LIKE_A_LAB))
    wait_until(lambda: not cluster.exists("pod", LATE_ORPHAN, namespace=LABS), "the late orphan goes", 180)


@contextmanager
def api_out_of_reach() -> Iterator[None]:
    """Drop what the hub sends to Kubernetes' API, and to everybody but pods."""
    to: list[dict[str, Any]] = [{"namespaceSelector": {}, "podSelector": {}}]
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "no-api", "namespace": NAMESPACE},
        "spec": {
            "podSelector": {"matchLabels": {"app.kubernetes.io/component": "hub"}},
            "policyTypes": ["Egress"],
            "egress": [{"to": to}],
        },
    }
    cluster.apply(policy)
    try:
        yield
    finally:
        kubectl("delete", "networkpolicy", "no-api", "--namespace", NAMESPACE)


def test_an_orphan_is_removed_and_what_is_not_ours_stays(deployment: Deployment) -> None:
    visitor, account = deployment.member("mia")
    visitor.spawn("mia", image="recommended", size="small")
    uid = pod_uid(deployment, account)
    # Both have been there from the beginning.
    wait_until(lambda: not cluster.exists("pod", ORPHAN, namespace=LABS), "the orphan goes", 180)
    assert cluster.exists("pod", STRANGER, namespace=LABS)
    assert pod_uid(deployment, account) == uid


def test_a_pod_that_has_a_labs_name_makes_room(deployment: Deployment) -> None:
    visitor, account = deployment.member("ned")
    cluster.apply(nobodys_pod(deployment.lab(account)))
    uid = pod_uid(deployment, account)
    visitor.spawn("ned", image="recommended", size="small")
    assert pod_uid(deployment, account) != uid
    assert f"{LABS}/{deployment.lab(account)} exists already and is deleted first" in deployment.log()


def test_a_hub_that_starts_anew_drops_no_websocket(deployment: Deployment) -> None:
    visitor, account = deployment.member("nia")
    visitor.spawn("nia", image="recommended", size="small")
    uid, lab = pod_uid(deployment, account), deployment.client(visitor, "nia")
    with lab.kernel("python3") as kernel:
        kernel.execute("x = 41")
        deployment.restart_hub()
        assert kernel.execute("print(x + 1)").stdout == "42\n"
    assert pod_uid(deployment, account) == uid
    wait_until(lambda: deployment.server("nia").get("ready"), "the hub has found the lab")
    assert visitor.reaches_lab("nia")


@pytest.mark.timeout(600)
def test_a_hub_that_is_killed_while_ten_labs_start_finds_them_all(deployment: Deployment) -> None:
    people = {f"olaf{number}": deployment.member(f"olaf{number}") for number in range(10)}
    threads = [
        threading.Thread(target=visitor.choose, kwargs={"image": "recommended", "size": "small"})
        for visitor, _ in people.values()
    ]
    for thread in threads:
        thread.start()
    names = {deployment.lab(account) for _, account in people.values()}
    wait_until(lambda: len(names & set(labs())) >= 5, "some are starting")
    deployment.kill_hub()
    begun = {name: uid for name, uid in labs().items() if name in names}
    for thread in threads:
        thread.join()
    wait_until(deployment.is_up, "the hub is back", 120)
    started = {user for user, (_, account) in people.items() if deployment.lab(account) in begun}
    for user in started:
        wait_until(lambda user=user: deployment.server(user).get("ready"), f"the lab of {user} is found", 120)  # type: ignore[misc]
        wait_until(lambda user=user: people[user][0].reaches_lab(user), f"the lab of {user} answers", 60)  # type: ignore[misc]
    # Who had no pod yet asks again.
    for user in set(people) - started:
        people[user][0].spawn(user, image="recommended", size="small")
    wait_reconciled()
    found = labs()
    assert found.items() >= begun.items()
    assert set(found) >= names
    assert set(found) == claimed(deployment)


def test_a_hub_that_starts_while_the_api_is_away_keeps_every_lab(deployment: Deployment) -> None:
    visitor, account = deployment.member("pia")
    visitor.spawn("pia", image="recommended", size="small")
    uid, lab = pod_uid(deployment, account), deployment.client(visitor, "pia")
    with lab.kernel("python3") as kernel:
        kernel.execute("x = 41")
        with api_out_of_reach():
            deployment.kill_hub()
            waiting = "the watch of pods was lost and is restarted"
            wait_until(lambda: waiting in deployment.log(), "the hub says what it waits for")
            wait_until(deployment.is_up, "the hub's pages answer all the same")
            assert kernel.execute("print(x + 1)").stdout == "42\n"
            assert visitor.reaches_lab("pia")
        wait_until(lambda: deployment.server("pia").get("ready"), "the lab is found")
    assert pod_uid(deployment, account) == uid
    assert visitor.reaches_lab("pia")


def test_an_administrator_frees_a_user_who_is_stuck(deployment: Deployment) -> None:
    visitor, account = deployment.member("sven")
    visitor.choose(image="recommended", size="impossible")
    assert deployment.server("sven")["pending"] == "spawn"
    refused = visitor.http.post("/hub/api/users/sven/reset", headers=visitor.xsrf())
    assert refused.status_code == 403
    answer = deployment.api("POST", "/users/sven/reset")
    assert answer.json() == {"user": "sven", "servers": {"default": "spawn"}}
    assert not cluster.exists("pod", deployment.lab(account), namespace=LABS)
    visitor.spawn("sven", image="recommended", size="small")
    assert deployment.api("POST", "/users/sven/reset").json() == {"user": "sven", "servers": {"default": "running"}}
    wait_until(lambda: not cluster.exists("pod", deployment.lab(account), namespace=LABS), "the pod goes", 30)
    visitor.spawn("sven", image="recommended", size="small")
    assert deployment.api("POST", "/users/nobody/reset").status_code == 404


def test_a_hub_that_has_lost_its_database_finds_the_labs(deployment: Deployment) -> None:
    visitor, account = deployment.member("wilma")
    visitor.spawn("wilma", image="recommended", size="small")
    uid, lab = pod_uid(deployment, account), deployment.client(visitor, "wilma")
    with lab.kernel("python3", shut_down=False) as kernel:
        kernel.execute("x = 41")
        kubectl("exec", "deployment/hub", "--namespace", NAMESPACE, "--", "sh", "-c", "rm /srv/jupyterhub/*")
        deployment.kill_hub()
        wait_until(lambda: "is wilma's again" in deployment.log(), "the hub finds the lab", 120)
        wait_until(deployment.is_up, "the hub is back")
        assert "Deleting stale route /user/wilma/" not in deployment.log()
        assert kernel.execute("print(x + 1)").stdout == "42\n"
    deployment.token = administrator_token(deployment)
    made = get("pod", deployment.lab(account), namespace=LABS)["metadata"]["creationTimestamp"]
    assert deployment.server("wilma")["started"].startswith(made.rstrip("Z"))
    # The hub's sessions are over; after the login everything is as it was.
    assert not visitor.is_in()
    again = deployment.visitor("wilma")
    again.log_in()
    assert again.reaches_lab("wilma")
    assert len(deployment.client(again, "wilma").request("GET", "api/kernels").json()) == 1
    assert pod_uid(deployment, account) == uid
    # The lab's own token counts, by which it tells the hub of its use.
    assert json.loads(deployment.run(account, "python3", "-c", WHO_AM_I))["name"] == "wilma"
    assert deployment.api("DELETE", "/users/wilma/server").status_code in {202, 204}
    deployment.wait_stopped("wilma")
