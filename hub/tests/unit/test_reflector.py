"""Tests of the reflectors with a fake Kubernetes API that fails. The tests in tests/cluster use a real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from labhub.labs import reflector
from labhub.labs.reflector import EventReflector, PodReflector
from labhub.models.pod_events import parse_event

from hub.tests.unit.conftest import Cluster, stop
from hub.tests.unit.fake_api import Behaviour, FakeApi, make_pod, send_events, stay_silent, wait_until

pytestmark = pytest.mark.asyncio


def make_event(name: str, uid: str, second: int) -> dict[str, Any]:
    """Return a Kubernetes event about a pod."""
    metadata = {"name": name, "namespace": "labs", "resourceVersion": "5"}
    return {"metadata": metadata, "involvedObject": {"uid": uid}, "lastTimestamp": f"2026-11-23T00:00:0{second}Z"}


@pytest.fixture
def api(cluster: Cluster) -> FakeApi:
    """Return the fake Kubernetes API, to which one pod was added."""
    cluster.api.pods = [make_pod("a")]
    return cluster.api


@pytest_asyncio.fixture
async def pods(cluster: Cluster) -> AsyncIterator[PodReflector]:
    """Create a reflector of pods, which the test has to start."""
    pods = PodReflector(cluster.client, "labs", label_selector="app=lab")
    yield pods
    await stop(pods._task)


@pytest_asyncio.fixture
async def events(cluster: Cluster) -> AsyncIterator[EventReflector]:
    """Create a reflector of events, which the test has to start."""
    events = EventReflector(cluster.client, "labs", field_selector="involvedObject.kind=Pod")
    yield events
    await stop(events._task)


async def test_long_list_is_paged_without_managed_fields(api: FakeApi, pods: PodReflector) -> None:
    api.pods = [make_pod(f"lab-{number}", number) for number in range(2 * reflector.PAGE_SIZE + 1)]
    pods.start()
    await pods.wait_until_loaded()
    assert api.lists == 3
    assert len(pods.objects) == len(api.pods)
    assert not any("managedFields" in pod["metadata"] for pod in pods.objects.values())


async def test_added_and_deleted_pods_are_known_at_once(api: FakeApi, pods: PodReflector) -> None:
    changes = [{"type": "ADDED", "object": make_pod("b", 6)}, {"type": "DELETED", "object": make_pod("a", 7)}]
    ended: list[Any] = []
    pods.on_end = ended.append
    api.watch = send_events(*changes)
    pods.start()
    await pods.wait_until_loaded()
    await wait_until(lambda: set(pods.objects) == {"labs/b"})
    assert set(pods.deleted) == {"labs/a"}
    assert [pod["metadata"]["name"] for pod in ended] == ["a"]
    assert api.lists == 1


async def test_change_wakes_only_tasks_waiting_for_its_pod(api: FakeApi, pods: PodReflector) -> None:
    pods.start()
    await pods.wait_until_loaded()
    waiting, other = (asyncio.create_task(pods.wait_for_change(f"labs/{name}", 60)) for name in "cb")
    await asyncio.sleep(0)
    api.watch = send_events({"type": "ADDED", "object": make_pod("c", 6)})
    async with asyncio.timeout(5):
        await waiting
    assert not other.done()
    other.cancel()


async def test_events_of_a_pod_are_found_by_its_uid(api: FakeApi, events: EventReflector) -> None:
    first, second, other = (make_event(*event) for event in (("1", "u", 2), ("2", "u", 1), ("3", "v", 1)))
    api.events = [first, other]
    events.start()
    await events.wait_until_loaded()
    assert events.find_events("u") == [parse_event(first)]
    assert events.find_events("unknown") == []
    api.event_watch = send_events({"type": "ADDED", "object": second}, {"type": "DELETED", "object": other})
    await wait_until(lambda: not events.find_events("v"))
    assert events.find_events("u") == [parse_event(second), parse_event(first)]


async def test_malformed_events_hide_no_other_event(api: FakeApi, events: EventReflector) -> None:
    metadata = {"name": "odd", "namespace": "labs"}
    odd: list[dict[str, Any]] = [
        {
            "metadata": {**metadata, "name": "a"},
            "involvedObject": {"uid": "u"},
            "lastTimestamp": None,
            "eventTime": None,
        },
        {"metadata": {**metadata, "name": "b"}, "involvedObject": {"uid": "u"}, "series": None, "type": "Strange"},
        {"metadata": {**metadata, "name": "c"}, "involvedObject": None, "message": None},
        {"metadata": {**metadata, "name": "d"}, "involvedObject": {"kind": "Pod"}},
    ]
    listed, watched = make_event("1", "u", 1), make_event("2", "u", 2)
    api.events = [*odd, {}, {"metadata": None}, listed]
    events.start()
    await events.wait_until_loaded()
    assert [event.time for event in events.find_events("u")] == ["", "", "2026-11-23T00:00:01"]
    changes = [{"type": "MODIFIED", "object": item} for item in odd]
    api.event_watch = send_events(
        *changes,
        {"type": "FROM_THE_FUTURE", "object": {"anything": 1}},
        {"type": "FROM_THE_FUTURE"},
        {"type": "DELETED", "object": odd[0]},
        {"type": "DELETED", "object": odd[3]},
        {"type": "ADDED", "object": watched},
    )
    await wait_until(lambda: parse_event(watched) in events.find_events("u"))
    assert events.find_events("u")[1:] == [parse_event(listed), parse_event(watched)]
    assert events.find_events("") == []


async def test_a_failing_callback_does_not_end_the_watch(
    api: FakeApi, pods: PodReflector, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_pod: Any) -> None:
        raise RuntimeError("a made-up failure")

    pods.on_end = fail
    changes = [{"type": "DELETED", "object": make_pod("a", 6)}, {"type": "ADDED", "object": make_pod("b", 7)}]
    api.watch = send_events(*changes)
    pods.start()
    await wait_until(lambda: set(pods.objects) == {"labs/b"})
    assert "cannot handle the end of the pod labs/a" in caplog.text
    assert api.lists == 1


async def test_reflector_waits_for_an_unavailable_api(api: FakeApi, pods: PodReflector) -> None:
    api.is_down = True
    pods.start()
    await wait_until(lambda: pods.idle < 0.05 and pods.age > 0.2)
    assert not pods.is_loaded
    api.is_down = False
    await pods.wait_until_loaded()
    assert set(pods.objects) == {"labs/a"}


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(send_events(b"}{\n"), id="garbage"),
        pytest.param(send_events({"type": "ERROR", "object": {"code": 410, "message": "too old"}}), id="too old"),
        pytest.param(
            send_events({"type": "ERROR", "object": {"code": 500, "message": "etcd"}}), id="an error in the stream"
        ),
        pytest.param(send_events(b"{", b""), id="cut in the middle"),
        pytest.param(send_events({"type": "ADDED", "object": {}}), id="not a pod"),
        pytest.param(send_events({"type": "ERROR", "object": {}}), id="an error without a code"),
        pytest.param(send_events({"type": "ERROR"}), id="an error without an object"),
        pytest.param(send_events(b"null\n"), id="not an event"),
        pytest.param(stay_silent, id="silence"),
    ],
)
async def test_broken_watch_is_restarted(api: FakeApi, pods: PodReflector, behaviour: Behaviour) -> None:
    api.watch = behaviour
    pods.start()
    await pods.wait_until_loaded()
    await wait_until(lambda: api.watches >= 1)
    api.pods = [make_pod("z", 9)]
    api.watch = stay_silent
    await wait_until(lambda: set(pods.objects) == {"labs/z"})
    assert pods._task is not None
    assert not pods._task.done()


async def test_long_outage_does_not_end_the_reflector(api: FakeApi, pods: PodReflector) -> None:
    pods.start()
    await pods.wait_until_loaded()
    api.is_down = True
    await wait_until(lambda: pods.age > 2)  # in this time, about 40 attempts fail
    assert pods.idle < 1
    api.is_down, api.pods = False, [make_pod("z", 9)]
    await wait_until(lambda: set(pods.objects) == {"labs/z"})


async def test_pod_larger_than_the_line_limit_is_read(api: FakeApi, pods: PodReflector) -> None:
    api.watch = send_events(
        {
            "type": "ADDED",
            "object": make_pod(
                "big",
                6,
                metadata={
                    "name": "big",
                    "namespace": "labs",
                    "resourceVersion": "6",
                    "annotations": {"text": "x" * 400_000},
                },
            ),
        }
    )
    pods.start()
    await wait_until(lambda: "labs/big" in pods.objects)


async def test_ended_watch_continues_at_its_bookmark(api: FakeApi, pods: PodReflector) -> None:
    api.watch = send_events({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "8"}}}, b"")
    pods.start()
    await wait_until(lambda: api.watches >= 2)
    assert api.lists == 1
