"""Tests of `nox -s read-logs`, an example of a program that reads events from a RabbitMQ queue.

The tests use a real broker and relay. The shipper ships the events.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from labtesting.rabbitmq import RabbitMQ

from filebeat.tests.shipper import POD, ROOT, LogFile, Shipper
from logstashrmq.tests.harness import Queue, wait_until


def read(broker: RabbitMQ, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program `tools/read_logs.py`, which reads events from the broker, and return the result."""
    address = {"AMQP_HOST": "127.0.0.1", "AMQP_PORT": str(broker.port), "AMQP_TLS": "false"}
    login = {"AMQP_USER": broker.user, "AMQP_PASSWORD": broker.password}
    command = [sys.executable, "-m", "tools.read_logs", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | address | login, capture_output=True, text=True, timeout=180, check=False
    )


def test_shown_events_are_removed_from_the_queue(shipper: Shipper, broker: RabbitMQ, queue: Queue) -> None:
    log = LogFile(shipper.pods / POD / "x")
    line = {
        "message": "ada logged in",
        "log.level": "info",
        "service.name": "hub",
        "user.name": "ada",
        "user.id": "5150",
    }
    with shipper.run():
        log.write(json.dumps(line).encode(), b"plain, with \x1b[31mcolour")
        wait_until(lambda: queue.count() == 2, "both events have arrived")
    shown = read(broker, queue.name, "--once").stdout.splitlines()
    assert [text.split(" ", 1)[1] for text in shown] == [
        "hub info (ada) ada logged in",
        "a-pod plain, with  [31mcolour",
    ]
    assert queue.count() == 0


def test_user_option_shows_events_of_one_user_as_json(shipper: Shipper, broker: RabbitMQ, queue: Queue) -> None:
    log = LogFile(shipper.pods / POD / "x")
    with shipper.run():
        log.write(
            *(json.dumps({"message": f"from user {number}", "user.id": number}).encode() for number in ("5150", "77"))
        )
        wait_until(lambda: queue.count() == 2, "both events have arrived")
    [event] = [
        json.loads(line) for line in read(broker, queue.name, "--once", "--json", "--user", "77").stdout.splitlines()
    ]
    assert (event["message"], event["user"]["id"]) == ("from user 77", "77")


def test_missing_queue_is_named_in_one_line(broker: RabbitMQ) -> None:
    done = read(broker, "never-made", "--once")
    assert done.returncode == 1
    assert done.stderr.startswith("read-logs: cannot read from the broker: ")
    assert "never-made" in done.stderr
    assert done.stderr.count("\n") == 1
