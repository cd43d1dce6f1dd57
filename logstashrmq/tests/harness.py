"""Helpers for the relay's tests: the relay as a process, queues of a real broker, and certificates."""

from __future__ import annotations

import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import httpx
import pika
import trustme
from labtesting.rabbitmq import Tls
from pika.adapters.blocking_connection import BlockingChannel

TIMEOUT = 180
# The required settings of the relay, with TLS disabled
PLAIN = {
    "BEATS_TLS": "false",
    "AMQP_TLS": "false",
    "AMQP_HOST": "127.0.0.1",
    "AMQP_USER": "relay",
    "AMQP_PASSWORD": "secret",
    "AMQP_EXCHANGE": "logs",
}


def wait_until(condition: Callable[[], object], what: str, timeout: float = TIMEOUT) -> None:
    """Wait until a condition is true. The condition is polled.

    Raises
    ------
    AssertionError
        Raised if the condition is not true within `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not true within {timeout} s: {what}"
        time.sleep(0.02)


def install_pika_metadata(folder: Path, version: str) -> None:
    """Write package metadata that simulates another version of pika.

    If the folder is on PYTHONPATH, `importlib.metadata` reports the simulated version instead of the installed one.
    """
    metadata = folder / f"pika-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: pika\nVersion: {version}\n")


class Certificates:
    """Files with a certificate authority, and with certificates that this authority has signed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.authority = trustme.CA()
        self.ca = folder / "ca.pem"
        self.authority.cert_pem.write_to_path(str(self.ca))
        self.server = self.issue("server", "localhost", "127.0.0.1", "logstashrmq")
        self.client = self.issue("client", "filebeat")

    def issue(self, file: str, *names: str) -> tuple[Path, Path]:
        """Sign a certificate for these host names. Return the paths of the certificate and of its key."""
        issued = self.authority.issue_cert(*names)
        cert, key = self._folder / f"{file}.pem", self._folder / f"{file}.key"
        issued.cert_chain_pems[0].write_to_path(str(cert))
        issued.private_key_pem.write_to_path(str(key))
        return cert, key

    @property
    def broker_tls(self) -> Tls:
        """The paths of the broker's certificate and key, and of the authority."""
        return Tls(*self.server, self.ca)

    @property
    def beats_environment(self) -> dict[str, str]:
        """The environment variables of a relay that requires client certificates of its peers."""
        cert, key = map(str, self.server)
        return {
            "BEATS_TLS": "true",
            "BEATS_TLS_CERT_FILE": cert,
            "BEATS_TLS_KEY_FILE": key,
            "BEATS_TLS_CA_FILE": str(self.ca),
        }

    def client_context(self, *, with_certificate: bool = True) -> ssl.SSLContext:
        """Return the TLS context for a client of the relay."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if with_certificate:
            context.load_cert_chain(*self.client)
        return context


# A message from the broker: method, properties and body
Message = tuple[pika.spec.Basic.Deliver, pika.BasicProperties, bytes]


class Broker(Protocol):
    """Address and login of a broker."""

    host: str
    user: str
    password: str
    port: int


class Queue:
    """A queue of the broker, bound to a separate exchange. The test reads the queue with this class.

    Attributes
    ----------
    counted
        How often `collect` has received each event, by the id of the event.
    """

    def __init__(self, broker: Broker, kind: str = "classic") -> None:
        self.broker = broker
        self._kind = kind
        self.name = f"q-{uuid.uuid4().hex[:8]}"
        self.exchange = f"x-{self.name}"
        self.counted: Counter[str] = Counter()
        self.declare()

    @contextmanager
    def channel(self) -> Iterator[BlockingChannel]:
        """Open a channel to the broker, and close it at the end of the block."""
        login = pika.PlainCredentials(self.broker.user, self.broker.password)
        parameters = pika.ConnectionParameters(self.broker.host, self.broker.port, credentials=login)
        with pika.BlockingConnection(parameters) as connection:
            yield connection.channel()

    def declare(self, **arguments: object) -> None:
        """Declare the exchange and the queue, and bind the queue for all routing keys."""
        with self.channel() as channel:
            channel.exchange_declare(self.exchange, "topic", durable=True)
            channel.queue_declare(self.name, durable=True, arguments={"x-queue-type": self._kind, **arguments})
            channel.queue_bind(self.name, self.exchange, "#")

    def count(self) -> int:
        """Return the number of messages in the queue."""
        with self.channel() as channel:
            return self._ready(channel)

    def _ready(self, channel: BlockingChannel) -> int:
        return int(channel.queue_declare(self.name, passive=True).method.message_count)

    def read(self) -> list[Message]:
        """Remove all messages from the queue, and return them."""
        messages: list[Message] = []
        is_stream = self._kind == "stream"
        with self.channel() as channel:
            channel.basic_qos(prefetch_count=500)
            arguments = {"x-stream-offset": "first"} if is_stream else {}
            for method, properties, body in channel.consume(self.name, inactivity_timeout=0.3, arguments=arguments):
                if method is None:
                    if is_stream or not self._ready(channel):
                        break
                    continue
                assert properties is not None
                assert body is not None
                messages.append((method, properties, body))
                if len(messages) % 250 == 0 or is_stream:
                    channel.basic_ack(method.delivery_tag, multiple=True)
            # Acknowledge only the messages that this method returns. The broker puts all other delivered messages back
            # into the queue.
            if len(messages) % 250 and not is_stream:
                channel.basic_ack(messages[-1][0].delivery_tag, multiple=True)
            channel.cancel()
        return messages

    def collect(self) -> Counter[str]:
        """Remove all messages from the queue.

        Return how often each event has arrived so far, by the id of the event.
        """
        self.counted.update(json.loads(body).get("id", "none") for _, _, body in self.read())
        return self.counted


class RelayProcess:
    """The relay as a process, started with the command of its image.

    Attributes
    ----------
    port, metrics_port
        The ports for Beats and for metrics.
    """

    def __init__(self, environ: dict[str, str], log: Path) -> None:
        self.log = log
        base = {name: value for name, value in os.environ.items() if not name.startswith(("AMQP_", "BEATS_"))}
        with log.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "beatsrelay"], env=base | environ, stdin=subprocess.DEVNULL, stderr=file
            )
        wait_until(lambda: self.process.poll() is not None or self.logged("listening"), "the relay listens")
        assert self.process.poll() is None, log.read_text()
        ports = self.logged("listening")[0]
        self.port, self.metrics_port = (
            int(str(ports["logstashrmq.beats_port"])),
            int(str(ports["logstashrmq.metrics_port"])),
        )

    def logged(self, message: str) -> list[dict[str, object]]:
        """Return the log lines whose message is this text."""
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{") and line.endswith("}")]
        return [fields for line in lines if (fields := json.loads(line))["message"] == message]

    def ask(self, path: str) -> httpx.Response:
        """Request a path of the metrics port, and return the response."""
        return httpx.get(f"http://127.0.0.1:{self.metrics_port}{path}")

    def metric(self, name: str) -> float:
        """Return the value of a metric, or 0 if it does not exist. Example: `peer_errors_total{reason="too_slow"}`."""
        match = re.search(rf"^beatsrelay_{re.escape(name)} (\S+)$", self.ask("/metrics").text, re.MULTILINE)
        return float(match[1]) if match else 0

    def wait_for_metric(self, name: str, value: float, timeout: float = TIMEOUT) -> None:
        """Wait until a metric has at least this value."""
        wait_until(lambda: self.metric(name) >= value, f"{name} >= {value}", timeout)

    @property
    def resident(self) -> int:
        """Resident memory of the process in bytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout: float = TIMEOUT) -> int:
        """Send a signal, wait until the process ends, and return its exit status."""
        self.process.send_signal(number)
        return self.process.wait(timeout)


class StartRelay(Protocol):
    """A function that starts a relay with these settings.

    It waits until the relay is ready, unless `ready` is False.
    """

    def __call__(self, ready: bool = True, /, **environ: str) -> RelayProcess: ...


class MemoryWatch(threading.Thread):
    """A thread that measures the memory of a relay. `peak` is the maximum so far in bytes."""

    def __init__(self, relay: RelayProcess) -> None:
        super().__init__(daemon=True)
        self._relay = relay
        self._stopped = threading.Event()
        self.peak = 0

    def __enter__(self) -> MemoryWatch:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self.join()

    def run(self) -> None:
        """Measure the memory of the relay every 20 ms until the watch is stopped."""
        while not self._stopped.wait(0.02):
            try:
                self.peak = max(self.peak, self._relay.resident)
            except (OSError, IndexError):
                return
