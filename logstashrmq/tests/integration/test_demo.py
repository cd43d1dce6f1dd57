"""`nox -s demo-logs` as somebody at a terminal meets it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from labtesting.rabbitmq import RabbitMQ

from logstashrmq.tests.conftest import environment
from logstashrmq.tests.harness import Queue, wait_until

ROOT = Path(__file__).parents[3]


def start(file: Path, **environ: str) -> subprocess.Popen[str]:
    """Start the demo."""
    return subprocess.Popen(
        [sys.executable, "-m", "tools.demo_logs", "--file", str(file)],
        cwd=ROOT,
        env=os.environ | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_until(demo: subprocess.Popen[str], text: str) -> str:
    """Read what it prints up to a line with this text."""
    assert demo.stdout is not None
    seen = ""
    while text not in seen:
        line = demo.stdout.readline()
        assert line, f"it ended after {seen!r}: {demo.stderr.read() if demo.stderr else ''}"
        seen += line
    return seen


def processes_below(pid: int) -> list[int]:
    """List the processes that a process started, and those that they started."""
    lists = [(task / "children").read_text().split() for task in Path(f"/proc/{pid}/task").iterdir()]
    return [found for children in lists for child in children for found in (int(child), *processes_below(int(child)))]


@pytest.mark.usefixtures("broker")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_lines_of_a_file_arrive_and_however_it_ends_nothing_is_left(tmp_path: Path, number: signal.Signals) -> None:
    file = tmp_path / "some.log"
    demo = start(file)
    read_until(demo, "Ctrl-C stops it.")
    with file.open("a") as log:
        log.write("first\nsecond\n")
    assert '"message": "first"' in read_until(demo, '"message": "second"')
    started = processes_below(demo.pid)
    assert len(started) > 3, "the relay, RabbitMQ and its parts"
    demo.send_signal(number)
    demo.communicate(timeout=30)
    wait_until(lambda: not [pid for pid in started if Path(f"/proc/{pid}").exists()], "all of it is gone")


def test_a_broker_that_is_named_is_used(tmp_path: Path, broker: RabbitMQ, queue: Queue) -> None:
    file = tmp_path / "some.log"
    demo = start(file, **environment(broker, queue))
    read_until(demo, "Ctrl-C stops it.")
    with file.open("a") as log:
        log.write("hello\n")
    assert '"message": "hello"' in read_until(demo, 'hello"')
    demo.terminate()
    demo.communicate(timeout=30)
    assert queue.count() == 1


def test_a_broker_that_does_not_answer_is_named(tmp_path: Path, broker: RabbitMQ, queue: Queue) -> None:
    demo = start(tmp_path / "some.log", **environment(broker, queue) | {"AMQP_USER": ""})
    _, said = demo.communicate(timeout=60)
    assert (demo.returncode, said.count("\n")) == (1, 1)
    assert said.startswith("demo-logs: AMQP_USER: missing, wanted")
