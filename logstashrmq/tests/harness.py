"""What the relay's tests run: the relay as a process, queues of a real broker, certificates."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
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

TIMEOUT = 30
# The least that a relay without TLS has to be told.
PLAIN = {
    "BEATS_TLS": "false",
    "AMQP_TLS": "false",
    "AMQP_HOST": "127.0.0.1",
    "AMQP_USER": "relay",
    "AMQP_PASSWORD": "secret",
    "AMQP_EXCHANGE": "logs",
}


def wait_until(condition: Callable[[], object], what: str, timeout: float = TIMEOUT) -> None:
    """Poll a condition until it holds.

    Raises
    ------
    AssertionError
        It does not in time.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.02)


class Certificates:
    """An authority, and what it has signed, as files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.authority = trustme.CA()
        self.ca = folder / "ca.pem"
        self.authority.cert_pem.write_to_path(str(self.ca))
        self.server = self.issue("server", "localhost", "127.0.0.1", "logstashrmq")
        self.client = self.issue("client", "filebeat")

    def issue(self, file: str, *names: str) -> tuple[Path, Path]:
        """Sign a certificate; give its file and its key's."""
        issued = self.authority.issue_cert(*names)
        cert, key = self._folder / f"{file}.pem", self._folder / f"{file}.key"
        issued.cert_chain_pems[0].write_to_path(str(cert))
        issued.private_key_pem.write_to_path(str(key))
        return cert, key

    @property
    def broker_tls(self) -> Tls:
        """What the broker takes."""
        return Tls(*self.server, self.ca)

    @property
    def beats_environment(self) -> dict[str, str]:
        """What makes the relay ask its peers for certificates."""
        cert, key = map(str, self.server)
        return {
            "BEATS_TLS": "true",
            "BEATS_TLS_CERT_FILE": cert,
            "BEATS_TLS_KEY_FILE": key,
            "BEATS_TLS_CA_FILE": str(self.ca),
        }

    def client_context(self, *, with_certificate: bool = True) -> ssl.SSLContext:
        """Give what a client of the relay uses."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if with_certificate:
            context.load_cert_chain(*self.client)
        return context


class Broker(Protocol):
    """How to log in at a broker."""

    host: str
    user: str
    password: str
    port: int


class Queue:
    """A queue of the broker with an exchange of its own, read as a consumer would."""

    def __init__(self, broker: Broker, kind: str = "classic") -> None:
        self._broker = broker
        self._kind = kind
        self.name = f"q-{uuid.uuid4().hex[:8]}"
        self.exchange = f"x-{self.name}"
        self.found: Counter[str] = Counter()
        self.declare()

    @contextmanager
    def channel(self) -> Iterator[BlockingChannel]:
        """Open a channel."""
        login = pika.PlainCredentials(self._broker.user, self._broker.password)
        parameters = pika.ConnectionParameters(self._broker.host, self._broker.port, credentials=login)
        with pika.BlockingConnection(parameters) as connection:
            yield connection.channel()

    def declare(self, **arguments: object) -> None:
        """Make exchange and queue, bound for all keys."""
        with self.channel() as channel:
            channel.exchange_declare(self.exchange, "topic", durable=True)
            kind = {"x-queue-type": self._kind, **arguments}
            channel.queue_declare(self.name, durable=True, arguments=kind)
            channel.queue_bind(self.name, self.exchange, "#")

    def count(self) -> int:
        """Count what waits in it."""
        with self.channel() as channel:
            return self._ready(channel)

    def _ready(self, channel: BlockingChannel) -> int:
        return int(channel.queue_declare(self.name, passive=True).method.message_count)

    def read(self) -> list[tuple[pika.spec.Basic.Deliver, pika.BasicProperties, bytes]]:
        """Take out all that is in it."""
        taken = []
        with self.channel() as channel:
            channel.basic_qos(prefetch_count=500)
            arguments = {"x-stream-offset": "first"} if self._kind == "stream" else {}
            for method, properties, body in channel.consume(self.name, inactivity_timeout=0.3, arguments=arguments):
                if method is None:
                    if self._kind == "stream" or not self._ready(channel):
                        break
                    continue
                assert properties is not None
                assert body is not None
                taken.append((method, properties, body))
                if len(taken) % 250 == 0 or self._kind == "stream":
                    channel.basic_ack(method.delivery_tag, multiple=True)
            if (
                len(taken) % 250 and self._kind != "stream"
            ):  # not all that is open: some may be on its way, and goes back
                channel.basic_ack(taken[-1][0].delivery_tag, multiple=True)
            channel.cancel()
        return taken

    def collect(self) -> Counter[str]:
        """Take out all that is in it, and count each event's id, with those found before."""
        self.found.update(json.loads(body).get("id", "none") for _, _, body in self.read())
        return self.found


class RelayProcess:
    """The relay, started as in its image.

    Attributes
    ----------
    port, metrics_port
        Where it listens.
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
        """Give the log lines with this message."""
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{") and line.endswith("}")]
        return [found for line in lines if (found := json.loads(line))["message"] == message]

    def ask(self, path: str) -> httpx.Response:
        """Ask its metrics port."""
        return httpx.get(f"http://127.0.0.1:{self.metrics_port}{path}")

    def metric(self, name: str) -> float:
        """Give a metric: `events_received_total`, `peer_errors_total{reason="too_slow"}`; 0 without one."""
        found = re.search(rf"^beatsrelay_{re.escape(name)} (\S+)$", self.ask("/metrics").text, re.MULTILINE)
        return float(found[1]) if found else 0

    def wait_for_metric(self, name: str, value: float, timeout: float = TIMEOUT) -> None:
        """Wait until a metric is at least so much."""
        wait_until(lambda: self.metric(name) >= value, f"{name} >= {value}", timeout)

    @property
    def resident(self) -> int:
        """Its resident memory in bytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout: float = TIMEOUT) -> int:
        """Send it a signal; give its exit status."""
        self.process.send_signal(number)
        return self.process.wait(timeout)


class StartRelay(Protocol):
    """Starts a relay; keywords are settings."""

    def __call__(self, ready: bool = True, /, **environ: str) -> RelayProcess: ...


class Watch(threading.Thread):
    """Watches a relay's memory; `peak` is the most that it had."""

    def __init__(self, relay: RelayProcess) -> None:
        super().__init__(daemon=True)
        self._relay = relay
        self._stopped = threading.Event()
        self.peak = 0

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self.join()

    def run(self) -> None:
        """Look every few milliseconds."""
        while not self._stopped.wait(0.02):
            try:
                self.peak = max(self.peak, self._relay.resident)
            except (OSError, IndexError):
                return


class Wire(threading.Thread):
    """A piece of network between the relay and the broker, which can be cut, or go silent.

    Parameters
    ----------
    target
        The broker's port.
    listener
        Where it takes connections, if not at a port of its own.

    Attributes
    ----------
    port
        Where it takes connections.
    silent
        Nothing passes any more, and nobody is told.
    """

    def __init__(self, target: int, listener: socket.socket | None = None) -> None:
        super().__init__(daemon=True)
        self._target = target
        self._listener = listener or socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self.port = int(self._listener.getsockname()[1])
        self.silent = False
        self.start()

    def run(self) -> None:
        """Join each connection with one to the target."""
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                near.close()
                continue
            self._sockets += [near, far]
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                if not self.silent:
                    target.sendall(data)
        except OSError:
            pass
        if not self.silent:
            for end in (source, target):
                end.close()

    def cut(self) -> None:
        """Reset all connections; new ones may come."""
        self.silent = False
        for end in self._sockets:
            try:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()
        self._sockets.clear()

    def close(self) -> None:
        """Take no more connections, and cut those that are."""
        self._listener.shutdown(socket.SHUT_RDWR)  # which wakes who waits in accept(); close() does not
        self._listener.close()
        self.cut()
