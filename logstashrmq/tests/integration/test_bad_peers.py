"""Tests of peers that violate the protocol or the limits: no other peer is affected, and memory stays bounded."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
from beatsrelay.lumberjack import frames
from labtesting.beats import BeatsClient, Shipper, make_events

from logstashrmq.tests.harness import Certificates, MemoryWatch, Queue, RelayProcess, StartRelay, wait_until

MEGABYTE = 1024 * 1024
BOUND = 120 * MEGABYTE
LIMITS = {"BEATS_STALL_SECONDS": "1", "BEATS_HANDSHAKE_SECONDS": "1", "BEATS_MAX_CONNECTIONS": "40"}

Attack = Callable[[int], object]
EVENT = frames.encode_event(1, b"{}")


def deflate_bomb(size: int) -> bytes:
    """Return `size` zero bytes, compressed. The function compresses in pieces, to use little memory."""
    compressor = zlib.compressobj(9)
    piece = b"\0" * MEGABYTE
    return b"".join(compressor.compress(piece) for _ in range(size // MEGABYTE)) + compressor.flush()


def encode_frame(code: int, content: bytes) -> bytes:
    """Return a Lumberjack frame: its code, the length of the content, and the content."""
    return frames.SHORT_HEADER.pack(code, len(content)) + content


def event_bomb() -> bytes:
    """Return a compressed frame of 0.5 MB with 512 events of 1 MB."""
    compressor = zlib.compressobj(9)
    event = frames.encode_event(1, b"{" + b" " * (MEGABYTE - 100) + b"}")
    content = b"".join(compressor.compress(event) for _ in range(512))
    return frames.encode_window(512) + encode_frame(frames.COMPRESSED, content + compressor.flush())


def create_attack(*pieces: bytes) -> Attack:
    """Return a function that connects to a port, sends these pieces, and waits until the relay ends the connection."""

    def attack(port: int) -> None:
        with (
            suppress(BrokenPipeError, ConnectionResetError),
            socket.create_connection(("127.0.0.1", port)) as peer,
        ):
            for piece in pieces:
                peer.sendall(piece)
            while peer.recv(65536):
                pass

    return attack


BROKEN: dict[str, tuple[bytes, str]] = {
    "a web browser": (b"GET / HTTP/1.1\r\nHost: logstashrmq\r\n\r\n", "unknown_frame"),
    "TLS where there is none": (bytes.fromhex("16030100c8010000c40303") + b"\1" * 200, "unknown_frame"),
    "garbage": (bytes(range(256)) * 100, "unknown_frame"),
    "Lumberjack of version 1": (b"1W\0\0\0\1", "unknown_frame"),
    "an acknowledgement": (frames.encode_window(1) + frames.encode_ack(1), "unknown_frame"),
    "a window of 2^32-1": (frames.encode_window(2**32 - 1) + EVENT, "window_too_large"),
    "an event without a window": (EVENT, "outside_window"),
    "more events than the window": (frames.encode_window(1) + EVENT + EVENT, "outside_window"),
    "more events than the window, compressed": (
        frames.encode_window(1) + frames.encode_compressed(EVENT * 2, 3),
        "outside_window",
    ),
    "compressed without a window": (frames.encode_compressed(EVENT, 3), "outside_window"),
    "an event of 4 GB": (frames.encode_window(1) + struct.pack(">HII", frames.DATA, 1, 2**32 - 1), "frame_too_large"),
    "a compressed frame of 4 GB": (
        frames.encode_window(1) + struct.pack(">HI", frames.COMPRESSED, 2**32 - 1),
        "frame_too_large",
    ),
    "compressed garbage": (frames.encode_window(1) + encode_frame(frames.COMPRESSED, b"garbage"), "bad_compression"),
    "compressed nothing": (frames.encode_window(1) + encode_frame(frames.COMPRESSED, b""), "bad_compression"),
    "compressed data cut off": (
        frames.encode_window(1) + encode_frame(frames.COMPRESSED, zlib.compress(EVENT)[:-3]),
        "bad_compression",
    ),
    "compressed data with a tail": (
        frames.encode_window(1) + encode_frame(frames.COMPRESSED, zlib.compress(EVENT) + b"x"),
        "bad_compression",
    ),
    "an event cut off by the end of its compressed frame": (
        frames.encode_window(1) + frames.encode_compressed(frames.encode_event(1, b"{}" * 9)[:-1], 3),
        "bad_compression",
    ),
    "a compressed frame in a compressed one": (
        frames.encode_window(1) + frames.encode_compressed(frames.encode_compressed(EVENT, 3), 3),
        "nested_frame",
    ),
    "a window in a compressed frame": (
        frames.encode_window(1) + frames.encode_compressed(frames.encode_window(1) + EVENT, 3),
        "nested_frame",
    ),
    "a zip bomb of zeros": (
        frames.encode_window(1) + encode_frame(frames.COMPRESSED, deflate_bomb(512 * MEGABYTE)),
        "nested_frame",
    ),
    "a zip bomb of events": (event_bomb(), "inflated_too_large"),
}


@contextmanager
def unaffected_peer(relay: RelayProcess, queue: Queue) -> Iterator[None]:
    """Ship events from a well-behaved peer while the block attacks the relay.

    Assert that each event arrives once, that the shipper does not reconnect, and that the relay's memory is bounded.
    """
    good = Shipper(relay.port, make_events(6000, "good"), window=200, pipelining=1)
    with MemoryWatch(relay) as watch:
        good.start()
        relay.wait_for_metric("events_confirmed_total", 200)
        yield
        good.finish()
    assert good.reconnects == 0
    arrived = {event: times for event, times in queue.collect().items() if event.startswith("good")}
    assert arrived == {f"good-{i}": 1 for i in range(6000)}
    assert watch.peak < BOUND
    assert relay.process.poll() is None


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_framing_ends_the_connection_and_is_counted(shared_relay: RelayProcess, kind: str) -> None:
    sent, reason = BROKEN[kind]
    metric = f'peer_errors_total{{reason="{reason}"}}'
    before = shared_relay.metric(metric)
    with BeatsClient(shared_relay.port) as good, MemoryWatch(shared_relay) as watch:
        create_attack(sent)(shared_relay.port)
        good.send(make_events(10, "good"))
        assert good.read_until(10)[-1] == 10
    assert shared_relay.metric(metric) == before + 1
    assert watch.peak < BOUND


@pytest.fixture(scope="module")
def shared_relay(start_relay_for_module: StartRelay) -> RelayProcess:
    """Start one relay for all tests of broken framing in this module."""
    return start_relay_for_module(**LIMITS)


def test_simultaneous_framing_errors_affect_no_other_peer(start_relay: StartRelay, queue: Queue) -> None:
    relay = start_relay(**LIMITS)
    with unaffected_peer(relay, queue):
        attacks = [threading.Thread(target=create_attack(sent), args=(relay.port,)) for sent, _ in BROKEN.values()]
        for attack in attacks:
            attack.start()
        for attack in attacks:
            attack.join()


def test_slow_peers_are_disconnected(start_relay: StartRelay, queue: Queue) -> None:
    relay = start_relay(**LIMITS)
    whole = frames.encode_window(2) + frames.encode_compressed(EVENT * 2, 3)
    with unaffected_peer(relay, queue), ExitStack() as stack:
        peers = [stack.enter_context(socket.create_connection(("127.0.0.1", relay.port), 180)) for _ in range(6)]
        silent, in_header, in_frame, in_window, byte_by_byte, half_closed = peers
        in_header.sendall(whole[:3])
        in_frame.sendall(whole[:-3])
        in_window.sendall(frames.encode_window(2) + EVENT)
        half_closed.sendall(whole)
        half_closed.shutdown(socket.SHUT_WR)
        assert half_closed.recv(6) == frames.encode_ack(1), "a peer that ended its side still gets its acknowledgement"
        with suppress(BrokenPipeError, ConnectionResetError):
            for byte in frames.encode_window(2) + frames.encode_event(1, b"x" * 1000):
                byte_by_byte.sendall(bytes([byte]))
                byte_by_byte.settimeout(0.1)
                with suppress(TimeoutError):
                    assert byte_by_byte.recv(6) == b"", "no acknowledgement is sent"
        relay.wait_for_metric('peer_errors_total{reason="too_slow"}', 4)
        silent.sendall(whole)
        assert silent.recv(6) == frames.encode_ack(1), "a peer between windows may be idle for longer"


def test_peer_that_reads_no_acknowledgement_is_disconnected(start_relay: StartRelay, queue: Queue) -> None:
    relay = start_relay(**LIMITS | {"BEATS_IDLE_SECONDS": "2"})
    windows = (frames.encode_window(0) + frames.encode_window(1) + frames.encode_event(1, b"no event")) * 1000
    with unaffected_peer(relay, queue), socket.socket() as peer:
        peer.settimeout(180)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connect(("127.0.0.1", relay.port))
        with pytest.raises(OSError, match=r"reset|Broken pipe"):  # noqa: PT012
            while True:
                peer.sendall(windows)


def test_oversized_events_affect_no_other_peer(start_relay: StartRelay, queue: Queue) -> None:
    relay = start_relay(**LIMITS | {"BEATS_MAX_EVENT_BYTES": "100000", "BEATS_STALL_SECONDS": "20"})
    with unaffected_peer(relay, queue), ExitStack() as stack:
        for _ in range(5):
            peer = stack.enter_context(socket.create_connection(("127.0.0.1", relay.port), 180))
            for count in range(20):
                peer.sendall(frames.encode_window(2) + frames.encode_event(count, b"{" + b" " * 3 * MEGABYTE) + EVENT)
        # Wait until the relay has read all events, because a disconnect discards unread data.
        relay.wait_for_metric('events_dropped_total{reason="oversized"}', 100)


@pytest.mark.parametrize("tls", [False, True])
def test_last_acknowledgement_is_sent_before_a_close(
    start_relay: StartRelay, certificates: Certificates, tls: bool
) -> None:
    relay = start_relay(**(certificates.beats_environment if tls else {}))
    with BeatsClient(relay.port, certificates.client_context() if tls else None) as client:
        client.send(make_events(10, "a"))
        client.socket.sendall(b"no Lumberjack")
        assert client.read_until(10)[-1] == 10
        with pytest.raises(OSError, match=r"(?i)closed|EOF"):
            client.read_ack()


def test_connections_above_the_limit_are_closed(start_relay: StartRelay, queue: Queue) -> None:
    relay = start_relay(**LIMITS | {"BEATS_IDLE_SECONDS": "3"})
    with unaffected_peer(relay, queue), ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(socket.create_connection(("127.0.0.1", relay.port), 180))
        relay.wait_for_metric("connections_refused_total", 200)
    with connect_when_idle(relay) as client:
        client.send(make_events(1, "late"))
        assert client.read_until(1)[-1] == 1


def connect_when_idle(relay: RelayProcess) -> BeatsClient:
    """Wait until all other connections are closed, and then connect a client."""
    wait_until(lambda: relay.metric("connections") == 0, "the other connections are closed")
    return BeatsClient(relay.port)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1")
def test_peers_without_a_valid_certificate_are_refused(
    start_relay: StartRelay, queue: Queue, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other_authority = Certificates(tmp_path_factory.mktemp("other_authority"))
    relay = start_relay(**LIMITS, **certificates.beats_environment)
    wrong = ssl.create_default_context(cafile=str(certificates.ca))
    wrong.load_cert_chain(*other_authority.client)
    old = certificates.client_context()
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    good = Shipper(relay.port, make_events(6000, "good"), tls=certificates.client_context())
    good.start()
    for context in (certificates.client_context(with_certificate=False), wrong, old):
        with pytest.raises(OSError, match=r"(?i)alert|certificate|reset|protocol|closed"):  # noqa: PT012, SIM117
            with BeatsClient(relay.port, context) as client:
                client.send([b'{"id":"stolen"}'])
                client.read_ack()
    create_attack(b"GET / HTTP/1.1\r\n\r\n")(relay.port)
    create_attack()(relay.port)
    good.finish()
    for reason, count in (("no_certificate", 1), ("certificate_refused", 1), ("protocol", 2), ("too_slow", 1)):
        assert relay.metric(f'tls_failures_total{{reason="{reason}"}}') == count, reason
    assert queue.collect() == {f"good-{i}": 1 for i in range(6000)}
