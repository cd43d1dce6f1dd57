"""Tests of `nox -s demo-logs`, which run the demo as a user in a terminal does."""

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
    """Start the demo, which ships the lines of this log file."""
    return subprocess.Popen(
        [sys.executable, "-m", "tools.demo_logs", "--file", str(file)],
        cwd=ROOT,
        env=os.environ | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_until(demo: subprocess.Popen[str], text: str) -> str:
    """Read and return the output of the demo, up to the first line that contains this text."""
    assert demo.stdout is not None
    output = ""
    while text not in output:
        line = demo.stdout.readline()
        assert line, f"the demo ended after {output!r}: {demo.stderr.read() if demo.stderr else ''}"
        output += line
    return output


def list_descendants(pid: int) -> list[int]:
    """Return all child processes of a process, and their children."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return children + [descendant for child in children for descendant in list_descendants(child)]


@pytest.mark.usefixtures("broker")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_lines_arrive_and_no_process_survives_the_demo(tmp_path: Path, number: signal.Signals) -> None:
    file = tmp_path / "some.log"
    demo = start(file)
    read_until(demo, "Ctrl-C stops it.")
    with file.open("a") as log:
        log.write("first\nsecond\n")
    assert '"message": "first"' in read_until(demo, '"message": "second"')
    started = list_descendants(demo.pid)
    assert len(started) > 3, "the demo starts the relay, RabbitMQ and its child processes"
    demo.send_signal(number)
    demo.communicate(timeout=180)
    wait_until(lambda: not [pid for pid in started if Path(f"/proc/{pid}").exists()], "all processes have ended")


def test_demo_uses_the_broker_in_the_environment(tmp_path: Path, broker: RabbitMQ, queue: Queue) -> None:
    file = tmp_path / "some.log"
    demo = start(file, **environment(broker, queue))
    read_until(demo, "Ctrl-C stops it.")
    with file.open("a") as log:
        log.write("hello\n")
    assert '"message": "hello"' in read_until(demo, 'hello"')
    demo.terminate()
    demo.communicate(timeout=180)
    assert queue.count() == 1


def test_demo_reports_a_missing_setting(tmp_path: Path, broker: RabbitMQ, queue: Queue) -> None:
    demo = start(tmp_path / "some.log", **environment(broker, queue) | {"AMQP_USER": ""})
    _, errors = demo.communicate(timeout=180)
    assert (demo.returncode, errors.count("\n")) == (1, 1)
    assert errors.startswith("demo-logs: AMQP_USER: missing, wanted")
