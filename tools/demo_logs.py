"""A demo of the logs, with RabbitMQ, the relay and a Beats client that ships the lines of a file: `nox -s demo-logs`.

It starts a broker from Debian's package (apt install rabbitmq-server). To use your own broker, set the AMQP_ variables
of the relay (docs/admin/settings.md), at least AMQP_HOST. Ctrl-C stops everything.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

import pika
from beatsrelay.amqp.connection_parameters import create_connection_parameters
from beatsrelay.amqp.errors import format_amqp_error
from beatsrelay.lumberjack.frames import ProtocolError
from beatsrelay.settings import Settings, SettingsError, load_settings
from labtesting.beats import BeatsClient
from pika.exceptions import AMQPError

from tools.parts import END_WITH_PARENT, FOLDER

LOGS = FOLDER / "logs"
START_SECONDS = 60
SIGNAL_SECONDS = 0.5


class DemoError(Exception):
    """The demo cannot continue. The message is the reason, in one line."""


@contextmanager
def running(*command: str | Path, log: Path, environ: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run a program until the end of the block. The kernel ends the program if this process is killed."""
    with log.open("w") as file:
        process = subprocess.Popen(
            [*END_WITH_PARENT, sys.executable, "-m", *command],
            env=os.environ | environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


def wait_until(condition: Callable[[], object], process: subprocess.Popen[str], log: Path) -> None:
    """Wait until a condition shows that a program has started.

    Raises
    ------
    DemoError
        Raised if the program ended or takes too long. The message contains the end of its log.
    """
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            raise DemoError(f"{log.stem} did not start: {log.read_text()[-600:].strip()}")
        time.sleep(0.1)


def start_broker(stack: ExitStack) -> dict[str, str]:
    """Start RabbitMQ, and return the settings to connect to it."""
    print("RabbitMQ ...", end=" ", flush=True)
    log = LOGS / "rabbitmq.log"
    data = stack.enter_context(TemporaryDirectory(prefix="rabbitmq-"))
    process = stack.enter_context(running("labtesting.rabbitmq", data, log=log, environ={}))
    login_line = process.stdout.readline() if process.stdout else ""
    if not login_line:
        process.wait()
        raise DemoError(log.read_text().strip() or f"RabbitMQ did not start: see {log}")
    print("runs")
    login = dict(word.split("=", 1) for word in login_line.split())
    return login | {"AMQP_HOST": "127.0.0.1", "AMQP_TLS": "false", "AMQP_EXCHANGE": "logs", "AMQP_DECLARE": "true"}


def start_relay(stack: ExitStack, environ: Mapping[str, str]) -> int:
    """Start the relay, and return its port."""
    print("the relay ...", end=" ", flush=True)
    log = LOGS / "relay.log"
    process = stack.enter_context(running("beatsrelay", log=log, environ=environ))

    def read_ports() -> dict[str, int]:
        lines = [line for line in log.read_text().splitlines() if line.startswith("{") and line.endswith("}")]
        return next((fields for line in lines if (fields := json.loads(line))["message"] == "listening"), {})

    wait_until(read_ports, process, log)
    url = f"http://127.0.0.1:{read_ports()['logstashrmq.metrics_port']}"

    def check_ready() -> bool:
        with suppress(OSError):
            return bool(urllib.request.urlopen(f"{url}/ready", timeout=5).read())  # noqa: S310
        return False

    wait_until(check_ready, process, log)
    print(f"listens on 127.0.0.1:{read_ports()['logstashrmq.beats_port']}, metrics: {url}/metrics, log: {log}")
    return read_ports()["logstashrmq.beats_port"]


def follow_lines(file: TextIO) -> Iterator[list[str]]:
    """Yield the lines that are added to a file, without end."""
    incomplete = ""
    while True:
        *lines, incomplete = (incomplete + file.read()).split("\n")
        yield lines
        time.sleep(0.2)


def ship(file: TextIO, port: int) -> None:
    """Ship the new lines of a file, without end. A window that was not acknowledged is sent again."""
    for lines in follow_lines(file):
        events = [
            {"@timestamp": datetime.now(UTC).isoformat(), "message": line, "log": {"file": {"path": file.name}}}
            for line in lines
        ]
        while events:
            with suppress(OSError, ProtocolError), BeatsClient(port) as client:
                client.send([json.dumps(event).encode() for event in events])
                client.read_until(len(events))
                events = []


def receive(settings: Settings, output: queue.SimpleQueue[str | DemoError]) -> None:
    """Read the messages of the exchange, and report an error of the broker."""
    try:
        read_queue(settings, output)
    except (AMQPError, OSError) as error:
        output.put(DemoError(f"cannot read from the broker: {format_amqp_error(error)}"))


def read_queue(settings: Settings, output: queue.SimpleQueue[str | DemoError]) -> None:
    """Read the messages of the exchange from an exclusive queue, without end."""
    with pika.BlockingConnection(create_connection_parameters(settings, settings.amqp_hosts[0])) as connection:
        channel = connection.channel()
        name = str(channel.queue_declare("", exclusive=True).method.queue)
        channel.queue_bind(name, settings.exchange, "#")
        output.put(f"RabbitMQ's queue {name} is bound to the exchange {settings.exchange}.")
        for method, _, body in channel.consume(name, auto_ack=True):
            if method and body:
                output.put(f"  {method.routing_key}  {body.decode(errors='replace')}")


def run(file: Path) -> None:
    """Start everything, and print the messages that arrive, until Ctrl-C."""
    LOGS.mkdir(parents=True, exist_ok=True)
    file.touch()
    with ExitStack() as stack:
        broker = {} if os.environ.get("AMQP_HOST") else start_broker(stack)
        addresses = {"BEATS_HOST": "127.0.0.1", "BEATS_PORT": "0", "METRICS_HOST": "127.0.0.1", "METRICS_PORT": "0"}
        environ = {"BEATS_TLS": "false"} | addresses | broker
        settings = load_settings(os.environ | environ)
        port = start_relay(stack, environ)
        output: queue.SimpleQueue[str | DemoError] = queue.SimpleQueue()
        threading.Thread(target=receive, args=(settings, output), daemon=True).start()
        print_next(output, START_SECONDS)
        opened = stack.enter_context(file.open())
        opened.seek(0, os.SEEK_END)
        threading.Thread(target=ship, args=(opened, port), daemon=True).start()
        print(f"\n  Each line that is added to {file} arrives here. In another terminal:\n\n    echo hello >> {file}\n")
        print("  Ctrl-C stops it.\n", flush=True)
        while True:
            # Wait with a timeout. A signal that arrives just before a wait without a timeout would not end the wait.
            with suppress(queue.Empty):
                print_next(output, SIGNAL_SECONDS)


def print_next(output: queue.SimpleQueue[str | DemoError], timeout: float) -> None:
    """Print the next message, or raise the next error."""
    line = output.get(timeout=timeout)
    if isinstance(line, DemoError):
        raise line
    print(line, flush=True)


def interrupt(*_: object) -> None:
    """Treat SIGTERM and SIGHUP as Ctrl-C, and ignore further signals."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> None:
    """Run the demo of the logs until Ctrl-C. If the demo fails, exit with the reason."""
    parser = argparse.ArgumentParser(prog="nox -s demo-logs --", description=__doc__)
    parser.add_argument("--file", type=Path, default=LOGS / "demo.log", help="the file whose new lines are shipped")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        run(arguments.file.resolve())
    except KeyboardInterrupt:
        print("Stopped.")
    except queue.Empty:
        sys.exit("demo-logs: the broker did not answer")
    except (DemoError, SettingsError, OSError) as error:
        sys.exit(f"demo-logs: {error}")


if __name__ == "__main__":
    main()
