"""Which pods are nobody's, and which servers have none."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from labhub.telemetry import metrics as metrics
from labhub.lifecycle.reconciler import FRESH_SECONDS, GRACE_SECONDS, Reconciler, find_orphans


@dataclass
class FakeUser:
    """As much of JupyterHub's user as the reconcile needs, with one lab."""

    status: int | None
    name: str = "ada"
    stopped: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.spawner = SimpleNamespace(name="", pod_name="lab-1", ready=True, active=True, poll=self._poll)

    @property
    def spawners(self) -> dict[str, Any]:
        return {"": self.spawner}

    async def _poll(self) -> int | None:
        return self.status

    async def stop(self, name: str) -> None:
        self.stopped.append(name)
        self.spawner.ready = self.spawner.active = False


@dataclass
class FakeProxy:
    """Keeps whose route was taken away."""

    deleted: list[tuple[str, str]] = field(default_factory=list)

    async def delete_user(self, user: FakeUser, name: str) -> None:
        self.deleted.append((user.name, name))


def ghosts() -> float:
    return float(metrics.RECONCILED.labels("ghost")._value.get())


def reconciler(user: FakeUser, *pods: dict[str, Any], age: float = 0) -> Reconciler:
    """Give one whose watch tells nobody that a pod has ended: what it knows has to be enough."""
    watch: Any = SimpleNamespace(age=age, pods={f"labs/{pod['metadata']['name']}": pod for pod in pods})
    return Reconciler(SimpleNamespace(users={1: user}, proxy=FakeProxy()), watch, "labs")


def pod(phase: str) -> dict[str, Any]:
    return {"metadata": {"name": "lab-1"}, "status": {"phase": phase}}


def test_a_pod_is_an_orphan_after_it_has_been_nobodys_for_the_grace() -> None:
    since: dict[str, float] = {}
    assert find_orphans(["a", "b"], ["b"], since, 0) == []
    assert find_orphans(["a", "b"], ["b"], since, GRACE_SECONDS - 1) == []
    assert find_orphans(["a", "b"], ["b"], since, GRACE_SECONDS) == ["a"]


def test_a_pod_that_was_somebodys_in_between_begins_anew() -> None:
    since: dict[str, float] = {}
    assert find_orphans(["a"], [], since, 0) == []
    assert find_orphans(["a"], ["a"], since, GRACE_SECONDS - 1) == []
    assert find_orphans(["a"], [], since, GRACE_SECONDS) == []
    assert find_orphans([], [], since, GRACE_SECONDS + 1) == []
    assert since == {}


@pytest.mark.asyncio
@pytest.mark.parametrize("left", [[], [pod("Failed")]], ids=["it has gone", "it has ended"])
async def test_a_lab_whose_pod_went_unnoticed_is_let_go_of_and_counted_once(left: list[dict[str, Any]]) -> None:
    user, before = FakeUser(status=1), ghosts()
    reconcile = reconciler(user, *left)
    for _ in range(2):
        await reconcile.run()
        reconcile.watch.pods.clear()  # else it were an orphan now
    assert user.stopped == [""]
    assert reconcile.app.proxy.deleted == [("ada", "")]
    assert ghosts() - before == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "pods", "age"),
    [
        pytest.param(1, [pod("Running")], 0, id="its pod is there"),
        pytest.param(None, [], 0, id="the API itself says that it runs"),
        pytest.param(1, [], FRESH_SECONDS + 1, id="what is known is old"),
    ],
)
async def test_a_lab_that_may_run_is_kept(status: int | None, pods: list[dict[str, Any]], age: float) -> None:
    user, before = FakeUser(status), ghosts()
    await reconciler(user, *pods, age=age).run()
    assert user.stopped == []
    assert ghosts() == before
