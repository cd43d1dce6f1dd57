"""Files as kubelet and containerd write them, through what ships and the real relay, to a real RabbitMQ."""

from __future__ import annotations

import json
import traceback
import zlib
from collections import Counter
from collections.abc import Iterator
from queue import Empty
from typing import Any

import pytest
from labtesting.logevents import assert_arrived

from filebeat.tests.shipper import BATCH, POD, LogFile, Shipper
from logstashrmq.tests.harness import Queue, RelayProcess, wait_until

MANY = 100_000
FIELDS = {"@timestamp", "agent", "host", "input", "kubernetes", "log", "message", "stream"}


class Arrived:
    """What has come to the queue, all of it."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._bodies: list[bytes] = []
        self._counted: Counter[str] = Counter()

    def wait_for(self, count: int, timeout: float = 60) -> list[dict[str, Any]]:
        """Wait for so many events; give them, flattened, when they are of the contract."""

        def enough() -> bool:
            self._bodies += [body for _, _, body in self._queue.read()]
            return len(self._bodies) >= count

        try:
            wait_until(enough, f"{count} events", timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}: found {len(self._bodies)}") from error
        return assert_arrived(self._bodies)

    def count(self) -> Counter[str]:
        """Count each message so far; some of them are held against the contract, all against the fields of these."""
        new = [body for _, _, body in self._queue.read()]
        assert_arrived(new[:50])
        for event in map(json.loads, new):
            assert set(event) >= FIELDS
            self._counted[event["message"]] += 1
        return self._counted

    def messages(self, count: int) -> list[str]:
        """Wait for so many events; give their messages in their files' order."""
        found = self.wait_for(count)
        return [str(one["message"]) for one in sorted(found, key=lambda one: str(one["@timestamp"]))]


@pytest.fixture
def arrived(queue: Queue) -> Arrived:
    """Give what arrives."""
    return Arrived(queue)


@pytest.fixture
def log(shipper: Shipper) -> LogFile:
    """Give the log of a container."""
    return LogFile(shipper.pods / POD / "a-container")


def test_a_line_of_json_arrives_with_its_fields_and_where_it_was(
    shipper: Shipper, log: LogFile, arrived: Arrived
) -> None:
    line = {
        "@timestamp": "2020-01-01T00:00:00Z",
        "message": "ada logged in",
        "log.level": "info",
        "log.logger": "labhub.audit",
        "service.name": "hub",
        "event.dataset": "hub.audit",
        "event.action": "login",
        "user.id": "5150",
        "hub.admin": False,
        "log.file.path": "/var/log/pods/of_somebody_else/x/0.log",
        "kubernetes.namespace": "jupyterlabdemo-labs",
        "agent.name": "not-me",
    }
    with shipper.run():
        log.write(json.dumps(line).encode(), stream="stderr")
        [event] = arrived.wait_for(1)
    kept = {
        name: value for name, value in line.items() if not name.startswith(("@", "log.file", "kubernetes", "agent"))
    }
    where = {"kubernetes.namespace": "jupyterlabdemo", "kubernetes.pod.name": "a-pod", "agent.name": "node-1"}
    assert event == event | kept | where | {"stream": "stderr", "kubernetes.container.name": "a-container"}
    assert event["log.file.path"].endswith(f"/{POD}/a-container/0.log")
    # The time is the runtime's, which nobody makes up.
    assert not event["@timestamp"].startswith("2020")


def test_what_the_runtime_split_is_joined_for_each_stream(shipper: Shipper, log: LogFile, arrived: Arrived) -> None:
    long = b"x" * 40_000
    with shipper.run():
        log.write(b"before it")
        pieces = [long[:16384], long[16384:32768]]
        for piece in pieces:
            log.write_raw(log.whole(piece, tag="P"))
            log.write_raw(log.whole(b"meanwhile ", stream="stderr", tag="P"))
        log.write(long[32768:])
        log.write(b"done", stream="stderr")
        log.write(b"after it")
        found = Counter(arrived.messages(4))
    assert found == Counter(["before it", long.decode(), "meanwhile meanwhile done", "after it"])


def test_a_very_long_line_is_cut_and_says_so(shipper: Shipper, log: LogFile, arrived: Arrived) -> None:
    with shipper.run():
        log.write_raw(b"".join(log.whole(b"y" * 16384, tag="P") for _ in range(40)))
        log.write(b"the end", b"the next line")
        cut, following = sorted(arrived.wait_for(2), key=lambda one: int(one["log.offset"]))
    assert cut["message"] == "y" * 131_072
    assert cut["log.flags"] == ["truncated"]
    assert following["message"] == "the next line"


class ChannelClosedByBroker(RuntimeError):
    """An exception whose name ends like no other."""


def raised(
    error: BaseException, cause: BaseException | None = None, context: BaseException | None = None
) -> BaseException:
    """Raise an error and catch it, so that it has lines to show."""
    if cause:
        error.__cause__ = cause  # even None would hide the context
    error.__context__ = context
    try:
        raise error
    except BaseException as caught:
        return caught


def errors() -> Iterator[BaseException]:
    """Give errors of all kinds."""
    yield raised(ValueError("the sea is too large"))
    yield raised(ValueError("the first\n\n    indented, below a blank line"))
    yield raised(AssertionError())
    yield raised(KeyboardInterrupt())
    yield raised(StopIteration())
    yield raised(ChannelClosedByBroker("406, \"PRECONDITION_FAILED - inequivalent arg 'durable'\""))
    yield raised(Empty())
    yield raised(zlib.error("Error -3"))
    yield raised(ValueError("the second"), context=raised(KeyError("the first")))
    yield raised(ValueError("the second"), cause=raised(KeyError("the first")))
    yield raised(group())
    yield raised(ValueError("the second"), context=raised(group()))


def group() -> BaseException:
    """Give a group in a group."""
    inner = ExceptionGroup("inner", [OSError()])
    return ExceptionGroup("several", [ValueError("one\n\nwith a blank line"), inner])


@pytest.mark.parametrize("blank_at_the_end", [False, True])
def test_a_traceback_as_python_prints_it_is_one_event_and_no_other_line_is_of_it(
    blank_at_the_end: bool, shipper: Shipper, log: LogFile, arrived: Arrived
) -> None:
    around = [b'{"message": "a line of json"}', b"a line of text: Error, and more", b'{"message": "json once more"}']
    said = ["a line of json", "a line of text: Error, and more", "json once more"]
    expected: list[str] = []
    with shipper.run():
        for error in errors():
            printed = "".join(traceback.format_exception(error)).removesuffix("\n")  # as format_exc() gives it
            lines = printed.split("\n") + [""] * blank_at_the_end
            for neighbour, message in zip(around, said, strict=True):
                log.write(neighbour, *(line.encode() for line in lines))
                expected += [message, "\n".join(lines)]
        found = arrived.messages(len(expected))
    assert found == expected


def test_lines_of_other_programs_are_joined_neither_to_each_other_nor_to_json(
    shipper: Shipper, log: LogFile, arrived: Arrived
) -> None:
    lines = [
        "  indented, and after JSON",
        "INFO: ready",
        "INFO: ready again",
        "Error: cannot open it",
        "Warning: it is not there",
        "done",
        "10.0.0.1: a host",
        "2026-01-01T00:00:00Z Error: text",
        "a.file: not found",
        "-----",
        "[I 2026-01-01 ServerApp] Jupyter",
        "E0101 00:00:00.000000 1 reflector.go:1] Failed",
        "Traceback of something else",
        "During maintenance",
        "The above is wrong",
        '{"message": "cut off',
        "NAME   READY",
    ]
    with shipper.run():
        log.write(*(line.encode() for line in lines), b'{"message": "json"}', *(line.encode() for line in lines))
        found = arrived.messages(2 * len(lines) + 1)
    assert found == [*lines, "json", *lines]


def test_binary_and_odd_lines_arrive(shipper: Shipper, log: LogFile, arrived: Arrived) -> None:
    odd = [
        bytes(range(1, 9)) + bytes(range(14, 32)),
        b"\xff\xfe\x00broken \xc3( utf-8",
        b'{"message": "cut off',
        b"[1, 2]",
    ]
    with shipper.run():
        log.write(b"a first line, so that the file is long enough", *odd, b"the last one")
        found = arrived.messages(len(odd) + 2)
    assert found[1] == odd[0].decode()
    assert "broken" in found[2]
    assert found[3:] == ['{"message": "cut off', "[1, 2]", "the last one"]


def test_nothing_of_a_lab_is_shipped_but_its_session(shipper: Shipper, arrived: Arrived) -> None:
    lab = LogFile(shipper.pods / "jupyterlabdemo-labs_lab-5150_3f0c1a52-0000-4c3e-9f6e-0d6ae1b0e7a1" / "notebook")
    own = LogFile(shipper.pods / "jupyterlabdemo_filebeat-x7k2p_3f0c1a52-0000-4c3e-9f6e-0d6ae1b0e7a2" / "filebeat")
    session = {"message": "a kernel has started", "event.dataset": "lab.session", "event.action": "kernel_start"}
    with shipper.run():
        own.write(b"shipped another batch, and so on")
        lab.write(b"what somebody printed", b'{"message": "GET /secret.ipynb", "event.dataset": "lab.server"}')
        lab.write(json.dumps(session).encode(), b"and printed more")
        LogFile(shipper.pods / POD / "x").write(b'{"message": "noise", "log.level": "debug"}', b"the last one")
        found = Counter(arrived.messages(2))
    assert found == Counter(["a kernel has started", "the last one"])


@pytest.mark.parametrize("packed", [False, True])
def test_without_its_pod_s_labels_a_line_is_nobody_s_whoever_it_says_that_it_is_of(
    packed: bool, shipper: Shipper, arrived: Arrived
) -> None:
    # No test's configuration has add_kubernetes_metadata: filebeat knows no pod, as it may happen in a cluster.
    pods = ["jupyterlabdemo-labs_lab-5150", "jupyterlabdemo-labs2_x", "jupyterlabdemoo_x", "elsewhere_jupyterlabdemo"]
    session = {"message": "a kernel has started", "event.dataset": "lab.session", "event.action": "kernel_start"}
    forged = session | {"user.id": "1", "user.name": "mallory", "labels": {"image": "forged"}, "labels.size": "huge"}
    nested = session | {"user": {"id": "1"}, "kubernetes": {"namespace": "jupyterlabdemo"}}
    for pod in pods:
        log = LogFile(shipper.pods / f"{pod}_3f0c1a52-0000-4c3e-9f6e-0d6ae1b0e7a1" / "notebook")
        log.write(json.dumps(forged).encode(), json.dumps(nested).encode())
        for turn in range(2 if packed else 0):
            log.rotate(f"20260101-00000{turn}")
            log.write(b'{"message": "of a file that is newer", "log.level": "debug"}')
    with shipper.run():
        events = arrived.wait_for(2 * len(pods))
    found = Counter(f"{event['kubernetes.namespace']}_{event['kubernetes.pod.name']}" for event in events)
    assert found == Counter(2 * pods)
    for event in events:
        assert event["message"] == "a kernel has started"
        assert not [field for field in event if field.startswith(("user", "labels"))]
        assert event["log.file.path"].endswith(".gz") is packed


def test_a_file_that_is_rotated_while_it_is_read_arrives_whole(
    shipper: Shipper, log: LogFile, arrived: Arrived
) -> None:
    expected = []
    with shipper.run():
        for turn in range(4):
            lines = [f"line {turn}-{i} of a file that is rotated" for i in range(500)]
            expected += lines
            log.write(*(line.encode() for line in lines))
            if turn == 0:
                arrived.wait_for(500)
            log.rotate(f"20260101-00000{turn}")
        log.write(b"the last one, in the file that is new")
        found = Counter(arrived.messages(2001))
    assert found == Counter([*expected, "the last one, in the file that is new"])


def test_a_file_of_one_short_line_arrives_at_once_and_nothing_of_it_twice_when_it_grows(
    shipper: Shipper, log: LogFile, arrived: Arrived
) -> None:
    other = LogFile(log.folder.parent / "another-container")
    with shipper.run():
        log.write(b"short")
        other.write(b"short")
        assert log.path.stat().st_size < 64
        arrived.wait_for(2)
        wait_until(lambda: is_noted(shipper, "a-container") and is_noted(shipper, "another-container"), "it is noted")
        shipper.kill()
    log.write(b"longer, while nobody read")
    with shipper.run():
        arrived.wait_for(3)
        other.write(b"longer, while it is read")
        log.write(b"and longer")
        arrived.wait_for(5)
        other.rotate("20260101-000000")
        other.write(b"new")
        found = Counter(arrived.messages(6))
    longer = ["longer, while nobody read", "longer, while it is read", "and longer"]
    assert found == Counter(["short", "short", *longer, "new"])


def test_a_file_that_is_truncated_is_read_from_its_start(shipper: Shipper, log: LogFile, arrived: Arrived) -> None:
    with shipper.run():
        log.write(*(f"line {i} before it is truncated".encode() for i in range(100)))
        arrived.wait_for(100)
        log.path.write_bytes(b"")
        log.write(*(f"line {i} after it was truncated".encode() for i in range(10)))
        found = Counter(arrived.messages(110))
    assert set(found.values()) == {1}
    assert len(found) == 110


def test_what_was_rotated_and_packed_while_nobody_read_arrives_and_nothing_twice(
    shipper: Shipper, log: LogFile, arrived: Arrived
) -> None:
    with shipper.run():
        log.write(*(f"line {i} that is read at once".encode() for i in range(100)))
        arrived.wait_for(100)
        wait_until(lambda: is_noted(shipper, "0.log"), "it is noted")
        shipper.kill()
    log.write(*(f"line {i} that nobody reads yet".encode() for i in range(100)))
    for turn in range(2):
        log.rotate(f"20260101-00000{turn}")
        log.write(*(f"line {i} of the file {turn}".encode() for i in range(100)))
    with shipper.run():
        found = Counter(arrived.messages(400))
    assert len(found) == 400
    assert set(found.values()) == {1}


def is_noted(shipper: Shipper, name: str) -> bool:
    """Tell whether the registry knows a file."""
    return any(name in file.read_text() for file in (shipper.folder / "data").rglob("*.json"))


def test_a_hundred_thousand_lines_arrive_though_it_is_killed_again_and_again(
    shipper: Shipper, log: LogFile, arrived: Arrived, relay: RelayProcess
) -> None:
    others = [LogFile(shipper.pods / POD / f"container-{i}") for i in range(3)]
    logs = [log, *others]
    expected = set()
    for number, one in enumerate(logs):
        lines = [f"line {i} of the container {number}" for i in range(MANY // len(logs))]
        expected |= set(lines)
        one.write(*(line.encode() for line in lines))
    kills = 0
    for share in (0.1, 0.3, 0.6):
        with shipper.run():
            relay.wait_for_metric("events_received_total", MANY * share, 60)
            shipper.kill()
            kills += 1
    with shipper.run():
        wait_until(lambda: len(arrived.count()) >= MANY, "all of them", 90)
    found = arrived.count()
    assert set(found) == expected
    assert sum(found.values()) - MANY <= kills * BATCH
