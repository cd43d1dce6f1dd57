"""Tests that every line arrives if files are rotated, truncated or compressed, or if the shipper is killed."""

from __future__ import annotations

from collections import Counter

from filebeat.tests.arrivals import Arrived
from filebeat.tests.shipper import BATCH, POD, LogFile, Shipper
from logstashrmq.tests.harness import RelayProcess, wait_until

MANY = 100_000


def test_file_rotated_during_reading_arrives_completely(shipper: Shipper, log: LogFile, arrived: Arrived) -> None:
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


def test_a_short_file_that_grows_arrives_once(shipper: Shipper, log: LogFile, arrived: Arrived) -> None:
    other = LogFile(log.folder.parent / "another-container")
    with shipper.run():
        log.write(b"short")
        other.write(b"short")
        assert log.path.stat().st_size < 64
        arrived.wait_for(2)
        wait_until(
            lambda: is_registered(shipper, "a-container") and is_registered(shipper, "another-container"),
            "both files are in the registry",
        )
        shipper.kill()
    log.write(b"longer, while the shipper is down")
    with shipper.run():
        arrived.wait_for(3)
        other.write(b"longer, while it is read")
        log.write(b"and longer")
        arrived.wait_for(5)
        other.rotate("20260101-000000")
        other.write(b"new")
        found = Counter(arrived.messages(6))
    longer = ["longer, while the shipper is down", "longer, while it is read", "and longer"]
    assert found == Counter(["short", "short", *longer, "new"])


def test_truncated_file_is_read_from_its_start(shipper: Shipper, log: LogFile, arrived: Arrived) -> None:
    with shipper.run():
        log.write(*(f"line {i} before it is truncated".encode() for i in range(100)))
        arrived.wait_for(100)
        log.path.write_bytes(b"")
        log.write(*(f"line {i} after it was truncated".encode() for i in range(10)))
        found = Counter(arrived.messages(110))
    assert set(found.values()) == {1}
    assert len(found) == 110


def test_files_compressed_during_a_stop_arrive_once(shipper: Shipper, log: LogFile, arrived: Arrived) -> None:
    with shipper.run():
        log.write(*(f"line {i} that is read at once".encode() for i in range(100)))
        arrived.wait_for(100)
        wait_until(lambda: is_registered(shipper, "0.log"), "the file is in the registry")
        shipper.kill()
    log.write(*(f"line {i} while the shipper is down".encode() for i in range(100)))
    for turn in range(2):
        log.rotate(f"20260101-00000{turn}")
        log.write(*(f"line {i} of the file {turn}".encode() for i in range(100)))
    with shipper.run():
        found = Counter(arrived.messages(400))
    assert len(found) == 400
    assert set(found.values()) == {1}


def is_registered(shipper: Shipper, name: str) -> bool:
    """Check whether the shipper's registry contains a file. The registry lists each file with the position in it."""
    return any(name in file.read_text() for file in (shipper.folder / "data").rglob("*.json"))


def test_killed_shipper_loses_no_line(shipper: Shipper, log: LogFile, arrived: Arrived, relay: RelayProcess) -> None:
    others = [LogFile(shipper.pods / POD / f"container-{i}") for i in range(3)]
    logs = [log, *others]
    expected = set()
    for number, container_log in enumerate(logs):
        lines = [f"line {i} of the container {number}" for i in range(MANY // len(logs))]
        expected |= set(lines)
        container_log.write(*(line.encode() for line in lines))
    kills = 0
    for share in (0.1, 0.3, 0.6):
        with shipper.run():
            relay.wait_for_metric("events_received_total", MANY * share, 60)
            shipper.kill()
            kills += 1
    with shipper.run():
        wait_until(lambda: len(arrived.count()) >= MANY, "all lines have arrived")
    found = arrived.count()
    assert set(found) == expected
    assert sum(found.values()) - MANY <= kills * BATCH
