"""Tests of the relay when the broker shuts down while the relay opens a session."""

from __future__ import annotations

import socket
import struct
import threading
from typing import BinaryIO

from labtesting.beats import BeatsClient, make_events
from labtesting.rabbitmq import RabbitMQ
from pika.amqp_object import Method
from pika.frame import Method as Frame
from pika.spec import Channel, Connection

from logstashrmq.tests.harness import Queue, StartRelay
from logstashrmq.tests.tcp_proxy import TcpProxy

HEADER = struct.Struct(">BHI")  # frame type, channel, payload size; an end byte follows the payload
GREETING = b"AMQP\0\0\x09\1"
CLOSE = Connection.Close(320, "CONNECTION_FORCED - broker shutdown", 0, 0)
# The steps of the simulated broker on one connection. In each step, the broker waits for a method, and then sends its
# answers as pairs of channel and method. After the last step, the broker closes the connection.
Script = list[tuple[type[Method], list[tuple[int, Method]]]]
LOGIN: Script = [(Connection.StartOk, [(0, Connection.Tune(10, 131_072, 0))])]
SHUTDOWNS: list[Script] = [
    [*LOGIN, (Connection.Open, [(0, Connection.OpenOk()), (0, CLOSE)])],
    [*LOGIN, (Connection.Open, [(0, Connection.OpenOk())])],
    [*LOGIN, (Connection.Open, [(0, Connection.OpenOk())]), (Channel.Open, [(1, Channel.OpenOk()), (0, CLOSE)])],
]


def read_until(stream: BinaryIO, wanted: type[Method]) -> None:
    """Read AMQP frames up to and including the frame with this method."""
    index = None
    while index != wanted.INDEX:
        _, _, size = HEADER.unpack(stream.read(HEADER.size))
        index = int.from_bytes(stream.read(size + 1)[:4], "big")


class StoppingBroker(threading.Thread):
    """A simulated broker. It runs the next script of `SHUTDOWNS` on each connection, and then closes the connection."""

    def __init__(self, listener: socket.socket) -> None:
        super().__init__(daemon=True)
        self._listener = listener

    def run(self) -> None:
        """Accept one connection after another, and run the next script on each connection."""
        for script in SHUTDOWNS:
            client, _ = self._listener.accept()
            with client, client.makefile("rb") as stream:
                assert stream.read(len(GREETING)) == GREETING
                client.sendall(Frame(0, Connection.Start(0, 9, {}, "PLAIN", "en_US")).marshal())
                for wanted, answers in script:
                    read_until(stream, wanted)
                    client.sendall(b"".join(Frame(channel, answer).marshal() for channel, answer in answers))


def test_session_is_retried_after_a_broker_shutdown(start_relay: StartRelay, queue: Queue, broker: RabbitMQ) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    stopping_broker = StoppingBroker(listener)
    stopping_broker.start()
    relay = start_relay(False, AMQP_PORT=str(listener.getsockname()[1]))
    relay.wait_for_metric("broker_connect_failures_total", len(SHUTDOWNS))
    stopping_broker.join()
    reasons = [str(line["event.reason"]) for line in relay.logged("cannot open a session with the broker")]
    proxy = TcpProxy(broker.port, listener)
    with BeatsClient(relay.port) as client:
        client.send(make_events(10, "a"))
        assert client.read_until(10)[-1] == 10
    proxy.close()
    assert queue.collect() == {f"a-{i}": 1 for i in range(10)}
    assert [reason.startswith("127.0.0.1: ") for reason in reasons] == [True] * len(SHUTDOWNS)
    assert [reasons[i] for i in (0, 2)] == ["127.0.0.1: CONNECTION_FORCED - broker shutdown (320)"] * 2
