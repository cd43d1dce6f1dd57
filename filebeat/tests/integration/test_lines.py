"""Tests that log lines arrive in RabbitMQ as the right events: JSON, long and split lines, tracebacks, binary data."""

from __future__ import annotations

import json
import traceback
import zlib
from collections import Counter
from collections.abc import Iterator
from queue import Empty

import pytest

from filebeat.tests.arrivals import Arrived
from filebeat.tests.shipper import POD, LogFile, Shipper


class ChannelClosedByBroker(RuntimeError):
    """An exception whose name does not end in Error, Exception or Warning."""


def raised(
    error: BaseException, cause: BaseException | None = None, context: BaseException | None = None
) -> BaseException:
    """Raise and catch an exception, so that it gets a traceback. Return the exception."""
    if cause:
        error.__cause__ = cause  # the traceback shows a context only if the code assigns no cause
    error.__context__ = context
    try:
        raise error
    except BaseException as caught:
        return caught


def errors() -> Iterator[BaseException]:
    """Yield exceptions whose tracebacks have different forms, for example with blank lines, a cause or a group."""
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
    """Return a group of exceptions that contains a second group."""
    inner = ExceptionGroup("inner", [OSError()])
    return ExceptionGroup("several", [ValueError("one\n\nwith a blank line"), inner])


def test_json_line_keeps_its_fields_and_gets_its_origin(shipper: Shipper, log: LogFile, arrived: Arrived) -> None:
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
        "log.file.path": "/var/log/pods/another_pod/x/0.log",
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
    # The event has the time that the container runtime wrote. The `@timestamp` in the JSON line does not replace it.
    assert not event["@timestamp"].startswith("2020")


def test_split_line_is_joined_for_each_stream(shipper: Shipper, log: LogFile, arrived: Arrived) -> None:
    long = b"x" * 40_000
    with shipper.run():
        log.write(b"before the long line")
        pieces = [long[:16384], long[16384:32768]]
        for piece in pieces:
            log.write_raw(log.whole(piece, tag="P"))
            log.write_raw(log.whole(b"part ", stream="stderr", tag="P"))
        log.write(long[32768:])
        log.write(b"done", stream="stderr")
        log.write(b"after the long line")
        found = Counter(arrived.messages(4))
    assert found == Counter(["before the long line", long.decode(), "part part done", "after the long line"])


def test_very_long_line_is_truncated_and_flagged(shipper: Shipper, log: LogFile, arrived: Arrived) -> None:
    with shipper.run():
        log.write_raw(b"".join(log.whole(b"y" * 16384, tag="P") for _ in range(40)))
        log.write(b"the end", b"the next line")
        cut, following = sorted(arrived.wait_for(2), key=lambda event: int(event["log.offset"]))
    assert cut["message"] == "y" * 131_072
    assert cut["log.flags"] == ["truncated"]
    assert following["message"] == "the next line"


@pytest.mark.parametrize("blank_at_the_end", [False, True])
def test_a_traceback_is_one_event_without_other_lines(
    blank_at_the_end: bool, shipper: Shipper, log: LogFile, arrived: Arrived
) -> None:
    around = [b'{"message": "a line of json"}', b"a line of text: Error, and more", b'{"message": "json once more"}']
    messages = ["a line of json", "a line of text: Error, and more", "json once more"]
    expected: list[str] = []
    with shipper.run():
        for error in errors():
            printed = "".join(traceback.format_exception(error)).removesuffix("\n")
            lines = printed.split("\n") + [""] * blank_at_the_end
            for neighbour, message in zip(around, messages, strict=True):
                log.write(neighbour, *(line.encode() for line in lines))
                expected += [message, "\n".join(lines)]
        found = arrived.messages(len(expected))
    assert found == expected


def test_lines_of_other_programs_are_not_joined(shipper: Shipper, log: LogFile, arrived: Arrived) -> None:
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


def test_binary_and_malformed_lines_arrive(shipper: Shipper, log: LogFile, arrived: Arrived) -> None:
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
