"""Benchmark of the relay against a plain pika publisher to the same queue: `nox -s "bench(relay)"`.

The relay and the plain publisher publish persistent messages of about 600 bytes to a durable queue of a real RabbitMQ.
The plain publisher is the reference. It uses pika without Beats: `basic_publish` on a channel in confirm mode of an
asyncio connection, with up to 10,000 unconfirmed messages. The relay receives windows of 2,048 events as from filebeat:
compressed at level 3 beforehand, two at a time on each connection. Measurements of the relay and the reference
alternate, so that a slower phase of the machine affects both. Medians are compared. The broker, the publishers and the
relay share the machine.

With `--pika-encoder`, the relay encodes messages with pika, and not with `beatsrelay.amqp.frames`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pika
from beatsrelay.lumberjack.connection import NEED_DATA, ClientConnection
from labtesting.beats import make_events
from labtesting.rabbitmq import RabbitMQ
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.channel import Channel

from logstashrmq.tests.harness import PLAIN, Certificates, Queue, RelayProcess, install_pika_metadata, wait_until

WINDOW = 2048
UNCONFIRMED = 10_000
SECONDS = 3.0
EVENT = make_events(1, "benchmark-000000", 480)[0]
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Figures:
    """Result of one measurement: events per second, and the publisher's CPU time per event and memory."""

    rate: float
    cpu_us: float
    memory_mb: float


@dataclass(frozen=True)
class Setting:
    """The conditions of one measurement, which is one row of the printed table."""

    tls: bool
    connections: int
    processes: int
    kind: str = "quorum"

    def __str__(self) -> str:
        transport = "mTLS in, TLS out" if self.tls else "plain"
        return f"{self.kind:7} {transport:16} {self.connections:3} connections, {self.processes} of each"


class Bench:
    """The broker and the certificates, which all measurements use.

    Parameters
    ----------
    pika_encoder
        Whether the relay uses pika's encoder. A simulated, untested version of pika makes the relay use it.
    """

    def __init__(self, stack: ExitStack, pika_encoder: bool = False) -> None:
        self._pika_encoder = pika_encoder
        self.folder = Path(stack.enter_context(TemporaryDirectory(prefix="bench-")))
        self.certificates = Certificates(self.folder)
        self.broker = stack.enter_context(RabbitMQ(self.folder / "rabbitmq", self.certificates.broker_tls))
        if pika_encoder:
            install_pika_metadata(self.folder, "99.0")

    @contextmanager
    def queue(self, kind: str) -> Iterator[Queue]:
        """Yield a new queue, and delete it at the end of the block."""
        queue = Queue(self.broker, kind)
        yield queue
        with queue.channel() as channel:
            channel.queue_delete(queue.name)
            channel.exchange_delete(queue.exchange)

    def environment(self, queue: Queue, tls: bool) -> dict[str, str]:
        """Return the settings of a relay that publishes to this queue."""
        return (
            PLAIN
            | {
                "AMQP_EXCHANGE": queue.exchange,
                "AMQP_PASSWORD": self.broker.password,
                "AMQP_PORT": str(self.broker.tls_port if tls else self.broker.port),
                "AMQP_TLS": str(tls),
                "AMQP_TLS_CA_FILE": str(self.certificates.ca),
                "AMQP_USER": self.broker.user,
                "BEATS_HOST": "127.0.0.1",
                "BEATS_PORT": "0",
                "METRICS_HOST": "127.0.0.1",
                "METRICS_PORT": "0",
            }
            | (self.certificates.beats_environment if tls else {})
            | ({"PYTHONPATH": str(self.folder)} if self._pika_encoder else {})
        )

    def part(self, name: str, *arguments: object) -> subprocess.Popen[str]:
        """Start a subprocess that runs one part of the benchmark: the plain publisher, or the Beats clients."""
        command = [sys.executable, "-m", "benchmarks.relay", name, *map(str, arguments)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def measure_raw(bench: Bench, setting: Setting) -> Figures:
    """Measure plain pika publishers, which are the reference."""
    with bench.queue(setting.kind) as queue:
        port = bench.broker.tls_port if setting.tls else bench.broker.port
        ca = bench.certificates.ca if setting.tls else "-"
        parts = [bench.part("--raw", port, ca, queue.exchange) for _ in range(setting.processes)]
        answers = [part.communicate()[0].split() for part in parts]
    rates, cpus = ([float(answer[i]) for answer in answers] for i in (0, 1))
    return Figures(sum(rates), statistics.mean(cpus), 0)


def measure_relay(bench: Bench, setting: Setting) -> Figures:
    """Measure relays while Beats clients send events as fast as possible."""
    with bench.queue(setting.kind) as queue:
        environ = bench.environment(queue, setting.tls)
        relays = [RelayProcess(environ, bench.folder / f"relay{i}.log") for i in range(setting.processes)]
        try:
            for relay in relays:
                wait_until(lambda relay=relay: relay.ask("/ready").status_code == 200, "the relay is ready")  # type: ignore[misc]
            before = [cpu_seconds(relay) for relay in relays]
            share = setting.connections // setting.processes
            parts = [bench.part("--load", relay.port, share, bench.folder if setting.tls else "-") for relay in relays]
            rates = [float(part.communicate()[0]) for part in parts]
            events = [relay.metric("events_confirmed_total") for relay in relays]
            used = [cpu_seconds(relay) - cpu for relay, cpu in zip(relays, before, strict=True)]
            memory = max(peak_memory(relay) for relay in relays)
        finally:
            for relay in relays:
                relay.stop()
    return Figures(sum(rates), sum(used) / sum(events) * 1e6, memory)


def cpu_seconds(relay: RelayProcess) -> float:
    """Return the CPU time of a relay in seconds."""
    fields = Path(f"/proc/{relay.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_memory(relay: RelayProcess) -> float:
    """Return the peak memory of a relay in MB."""
    status = Path(f"/proc/{relay.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


class RawPublisher:
    """The plain publisher, which uses pika without the relay."""

    def __init__(self, port: int, ca: str, exchange: str) -> None:
        self._exchange = exchange
        self._published = 0
        self._confirmed = 0
        self._properties = pika.BasicProperties("application/json", delivery_mode=2)
        context = pika.SSLOptions(ssl.create_default_context(cafile=ca), "localhost") if ca != "-" else None
        login = pika.PlainCredentials(RabbitMQ.user, RabbitMQ.password)
        self._loop = asyncio.new_event_loop()
        AsyncioConnection(
            pika.ConnectionParameters("localhost", port, credentials=login, ssl_options=context),
            on_open_callback=self._connected,
            custom_ioloop=self._loop,
        )

    def _connected(self, connection: pika.connection.Connection) -> None:
        connection.channel(on_open_callback=self._opened)

    def _opened(self, channel: Channel) -> None:
        self._channel = channel
        channel.confirm_delivery(self._answered, callback=lambda _: self._begin())

    def _begin(self) -> None:
        self._start, self._cpu = time.monotonic(), time.process_time()
        self._loop.call_later(SECONDS, self._loop.stop)
        self._publish()

    def _publish(self) -> None:
        while self._published - self._confirmed < UNCONFIRMED:
            for _ in range(100):
                self._channel.basic_publish(self._exchange, "logs", EVENT, self._properties, mandatory=True)
            self._published += 100

    def _answered(self, frame: object) -> None:
        self._confirmed = frame.method.delivery_tag  # type: ignore[attr-defined]
        self._publish()

    def run(self) -> None:
        """Publish for `SECONDS`, and print the events per second and the CPU time per event in microseconds."""
        self._loop.run_forever()
        rate = self._confirmed / (time.monotonic() - self._start)
        print(rate, (time.process_time() - self._cpu) / self._confirmed * 1e6)


async def ship(port: int, context: ssl.SSLContext | None, until: float) -> int:
    """Send the same window repeatedly over one connection, and return the number of acknowledged events."""
    client = ClientConnection()
    window = client.send([EVENT] * WINDOW)
    host = "localhost" if context else None
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=host)
    sent = done = 0
    while done < sent or time.monotonic() < until:
        while sent - done < 2 and time.monotonic() < until:
            writer.write(window)
            sent += 1
        client.receive_data(await reader.read(65536))
        while (ack := client.next_ack()) is not NEED_DATA:
            done += ack == WINDOW
    writer.close()
    return done * WINDOW


async def load(port: int, connections: int, folder: str) -> None:
    """Send events over all connections for `SECONDS`, and print the acknowledged events per second."""
    context = None
    if folder != "-":
        context = ssl.create_default_context(cafile=f"{folder}/ca.pem")
        context.load_cert_chain(f"{folder}/client.pem", f"{folder}/client.key")
    start = time.monotonic()
    counts = await asyncio.gather(*(ship(port, context, start + SECONDS) for _ in range(connections)))
    print(sum(counts) / (time.monotonic() - start))


def compare(bench: Bench, setting: Setting, times: int) -> None:
    """Measure the reference and the relay alternately under these conditions, and print a row of the table."""
    raw, relay = [], []
    for _ in range(times):
        raw.append(measure_raw(bench, setting))
        relay.append(measure_relay(bench, setting))
    rate = statistics.median(figures.rate for figures in relay)
    reference = statistics.median(figures.rate for figures in raw)
    cpu, raw_cpu = (statistics.median(figures.cpu_us for figures in both) for both in (relay, raw))
    print(
        f"{setting}: {rate:7,.0f} events/s, pika alone {reference:7,.0f}, ratio {rate / reference:.2f}; "
        f"{cpu:4.1f} us of CPU per event, pika alone {raw_cpu:4.1f}; "
        f"{max(figures.memory_mb for figures in relay):3.0f} MB",
        flush=True,
    )


def settings(quick: bool) -> list[Setting]:
    """Return the conditions of all measurements, one for each row of the printed table."""
    if quick:
        return [Setting(tls, 8, 1) for tls in (False, True)]
    # The number of connections is at least the number of processes, because each process needs a connection.
    rows = [Setting(tls, count, parts) for tls in (False, True) for parts in (1, 2) for count in (parts, 8, 100)]
    return [*rows, Setting(False, 8, 1, "classic"), Setting(False, 8, 1, "stream")]


def main() -> None:
    """Print the table. With `--raw` or `--load`, run one part of the benchmark instead."""
    parser = argparse.ArgumentParser(prog='nox -s "bench(relay)" --', description=__doc__)
    parser.add_argument("--quick", action="store_true", help="measure two rows, once each")
    parser.add_argument(
        "--only",
        metavar="TEXT",
        default="",
        help='rows with TEXT in their name: "TLS out 100 connections"',
    )
    parser.add_argument("--times", type=int, default=3, help="measurements of each row (3)")
    parser.add_argument("--pika-encoder", action="store_true", help="let the relay encode with pika")
    parser.add_argument("--raw", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--load", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.raw:
        RawPublisher(int(arguments.raw[0]), *arguments.raw[1:]).run()
    elif arguments.load:
        asyncio.run(load(int(arguments.load[0]), int(arguments.load[1]), arguments.load[2]))
    else:
        with ExitStack() as stack:
            bench = Bench(stack, arguments.pika_encoder)
            for setting in settings(arguments.quick):
                if arguments.only in str(setting):
                    compare(bench, setting, 1 if arguments.quick else arguments.times)


if __name__ == "__main__":
    main()
