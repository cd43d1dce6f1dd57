"""Tests of the reconciler with orphaned pods (without a lab in the database) and ghosts (labs without a pod)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from jupyterhub import orm  # type: ignore[import-untyped]
from labhub.labs.launcher import LabLauncher
from labhub.lifecycle import reconciler as reconciler_module
from labhub.lifecycle.reconciler import DATA_AGE_MAX, GRACE_SECONDS, Reconciler, find_orphans
from labhub.telemetry import metrics
from sqlalchemy.orm import Session

from hub.tests.unit.conftest import Cluster
from hub.tests.unit.fake_api import make_pod, make_running_pod, wait_until

ENDED = make_pod("lab-1", status={"phase": "Failed"})
RUNNING = make_running_pod("lab-1", 8888)


@dataclass
class FakeUser:
    """A user of the hub with one lab.

    Attributes
    ----------
    exit_status
        Result of the method `poll` of the user's spawner.
    """

    exit_status: int | None
    name: str = "ada"
    stopped: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.spawner = SimpleNamespace(name="", pod_name="lab-1", ready=True, active=True, poll=self._poll)

    @property
    def spawners(self) -> dict[str, Any]:
        return {"": self.spawner}

    async def _poll(self) -> int | None:
        return self.exit_status

    async def stop(self, name: str) -> None:
        self.stopped.append(name)
        self.spawner.ready = self.spawner.active = False


@dataclass
class FakeProxy:
    """A proxy that records the routes that the reconciler deletes."""

    deleted: list[tuple[str, str]] = field(default_factory=list)

    async def delete_user(self, user: FakeUser, name: str) -> None:
        self.deleted.append((user.name, name))


@dataclass
class FakeApp:
    """A hub with the attributes that the reconciler reads."""

    db: Session
    users: dict[int, FakeUser]
    proxy: FakeProxy = field(default_factory=FakeProxy)


@pytest.fixture
def db() -> Iterator[Session]:
    """Open an empty JupyterHub database in memory."""
    with orm.new_session_factory("sqlite:///:memory:")() as session:
        yield session


def count_actions(action: str) -> float:
    return float(metrics.RECONCILED.labels(action)._value.get())


def test_pod_is_orphaned_after_the_grace_period() -> None:
    first_seen: dict[str, float] = {}
    assert find_orphans(["a", "b"], ["b"], first_seen, 0) == []
    assert find_orphans(["a", "b"], ["b"], first_seen, GRACE_SECONDS - 1) == []
    assert find_orphans(["a", "b"], ["b"], first_seen, GRACE_SECONDS) == ["a"]


def test_known_lab_restarts_the_grace_period() -> None:
    first_seen: dict[str, float] = {}
    assert find_orphans(["a"], [], first_seen, 0) == []
    assert find_orphans(["a"], ["a"], first_seen, GRACE_SECONDS - 1) == []
    assert find_orphans(["a"], [], first_seen, GRACE_SECONDS) == []
    assert find_orphans([], [], first_seen, GRACE_SECONDS + 1) == []
    assert first_seen == {}


@pytest.mark.asyncio
@pytest.mark.parametrize("pods", [[], [ENDED]], ids=["no pod", "an ended pod"])
async def test_a_ghost_is_released_and_counted_once(
    cluster: Cluster, launcher: LabLauncher, db: Session, pods: list[dict[str, Any]]
) -> None:
    cluster.api.pods = list(pods)
    await launcher.pods.wait_until_loaded()
    user, before = FakeUser(exit_status=1), count_actions("ghost")
    app = FakeApp(db, {1: user})
    reconciler = Reconciler(app, launcher)
    for _ in range(2):
        await reconciler.run()
    assert user.stopped == [""]
    assert app.proxy.deleted == [("ada", "")]
    assert count_actions("ghost") - before == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("exit_status", "pods", "age"),
    [
        pytest.param(1, [RUNNING], 0, id="its pod exists"),
        pytest.param(None, [], 0, id="the API reports that it runs"),
        pytest.param(1, [], DATA_AGE_MAX + 1, id="the data is old"),
    ],
)
async def test_a_lab_that_may_run_is_kept(
    cluster: Cluster,
    launcher: LabLauncher,
    db: Session,
    exit_status: int | None,
    pods: list[dict[str, Any]],
    age: float,
) -> None:
    cluster.api.pods = list(pods)
    await launcher.pods.wait_until_loaded()
    launcher.pods.seen_at -= age
    user, before = FakeUser(exit_status), count_actions("ghost")
    await Reconciler(FakeApp(db, {1: user}), launcher).run()
    assert user.stopped == []
    assert count_actions("ghost") == before


@pytest.mark.asyncio
async def test_an_orphan_is_deleted_by_its_uid(
    cluster: Cluster, launcher: LabLauncher, db: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler_module, "GRACE_SECONDS", 0)
    db.add(orm.Spawner(name="", server=orm.Server(base_url="/"), state={"pod_name": "lab-2"}, user=orm.User(name="bo")))
    db.commit()
    cluster.api.pods = [make_running_pod(name, 8888) for name in ("lab-1", "lab-2", "lab-3")]
    await launcher.pods.wait_until_loaded()
    before = count_actions("orphan")
    await Reconciler(FakeApp(db, {1: FakeUser(exit_status=None)}), launcher).run()
    assert cluster.api.deleted == [("lab-3", {"preconditions": {"uid": "uid-lab-3"}})]
    assert count_actions("orphan") - before == 1


@pytest.mark.asyncio
async def test_end_of_a_pod_polls_its_lab(cluster: Cluster, launcher: LabLauncher, db: Session) -> None:
    polled: list[str] = []
    user = FakeUser(exit_status=1)

    async def poll_and_notify() -> None:
        polled.append(user.name)

    user.spawner.poll_and_notify = poll_and_notify
    row = orm.User(name="ada")
    db.add(row)
    db.commit()
    reconciler = Reconciler(FakeApp(db, {row: user}), launcher)
    owned = ENDED["metadata"] | {"annotations": {"jupyterlabdemo.lsst.io/hub-user": "ada"}}
    reconciler.poll_owner(ENDED | {"metadata": owned})
    reconciler.poll_owner(ENDED | {"metadata": owned | {"name": "lab-7"}})
    reconciler.poll_owner(ENDED)
    await wait_until(lambda: bool(polled))
    assert polled == ["ada"]
