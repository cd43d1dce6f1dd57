"""Peers that break the rules: the others do not notice, and memory stays bounded."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
from beatsrelay.lumberjack import frames
from beatsrelay.beats.peer import LINGER_SECONDS
from labtesting.beats import BeatsClient, Shipper, make_events

from logstashrmq.tests.harness import Certificates, Queue, RelayProcess, StartRelay, Watch, wait_until

MEGABYTE = 1024 * 1024
BOUND = 120 * MEGABYTE
LIMITS = {"BEATS_STALL_SECONDS": "1", "BEATS_HANDSHAKE_SECONDS": "1", "BEATS_MAX_CONNECTIONS": "40"}

Attack = Callable[[int], object]
ONE = frames.encode_event(1, b"{}")


def deflate_bomb(size: int) -> bytes:
    """Compress so many zeros, without ever having them."""
    packer = zlib.compressobj(9)
    piece = b"\0" * MEGABYTE
    return b"".join(packer.compress(piece) for _ in range(size // MEGABYTE)) + packer.flush()


def raw(frame: int, packed: bytes) -> bytes:
    """Write a frame with a length before it."""
    return frames.SHORT_HEADER.pack(frame, len(packed)) + packed


def bomb_of_events() -> bytes:
    """Write 512 events of 1 MB that take 0.5 MB on the wire."""
    packer = zlib.compressobj(9)
    event = frames.encode_event(1, b"{" + b" " * (MEGABYTE - 100) + b"}")
    packed = b"".join(packer.compress(event) for _ in range(512))
    return frames.encode_window(512) + raw(frames.COMPRESSED, packed + packer.flush())


def sends(*pieces: bytes) -> Attack:
    """Make a peer that sends this and waits for the end."""

    def attack(port: int) -> None:
        with suppress(BrokenPipeError, ConnectionResetError), socket.create_connection(("127.0.0.1", port), 20) as peer:
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
    "a window of 2^32-1": (frames.encode_window(2**32 - 1) + ONE, "window_too_large"),
    "an event without a window": (ONE, "outside_window"),
    "more events than the window": (frames.encode_window(1) + ONE + ONE, "outside_window"),
    "more events than the window, compressed": (frames.encode_window(1) + frames.encode_compressed(ONE * 2, 3), "outside_window"),
    "compressed without a window": (frames.encode_compressed(ONE, 3), "outside_window"),
    "an event of 4 GB": (frames.encode_window(1) + struct.pack(">HII", frames.DATA, 1, 2**32 - 1), "frame_too_large"),
    "a compressed frame of 4 GB": (
        frames.encode_window(1) + struct.pack(">HI", frames.COMPRESSED, 2**32 - 1),
        "frame_too_large",
    ),
    "compressed garbage": (frames.encode_window(1) + raw(frames.COMPRESSED, b"garbage"), "bad_compression"),
    "compressed nothing": (frames.encode_window(1) + raw(frames.COMPRESSED, b""), "bad_compression"),
    "compressed data cut off": (frames.encode_window(1) + raw(frames.COMPRESSED, zlib.compress(ONE)[:-3]), "bad_compression"),
    "compressed data with a tail": (
        frames.encode_window(1) + raw(frames.COMPRESSED, zlib.compress(ONE) + b"x"),
        "bad_compression",
    ),
    "an event cut off by the end of its compressed frame": (
        frames.encode_window(1) + frames.encode_compressed(frames.encode_event(1, b"{}" * 9)[:-1], 3),
        "bad_compression",
    ),
    "a compressed frame in a compressed one": (
        frames.encode_window(1) + frames.encode_compressed(frames.encode_compressed(ONE, 3), 3),
        "nested_frame",
    ),
    "a window in a compressed frame": (frames.encode_window(1) + frames.encode_compressed(frames.encode_window(1) + ONE, 3), "nested_frame"),
    "a zip bomb of zeros": (frames.encode_window(1) + raw(frames.COMPRESSED, deflate_bomb(512 * MEGABYTE)), "nested_frame"),
    "a zip bomb of events": (bomb_of_events(), "inflated_too_large"),
}


@contextmanager
def others_do_not_notice(relay: RelayProcess, queue: Queue) -> Iterator[None]:
    """Ship at the same time, and assert that nothing came of it but the events, once, in time and in little memory."""
    good = Shipper(relay.port, make_events(6000, "good"), window=200, pipelining=1)
    with Watch(relay) as watch:
        good.start()
        relay.wait_for_metric("events_confirmed_total", 200)
        yield
        good.finish()
    assert good.reconnects == 0
    found = queue.collect()
    assert {key: times for key, times in found.items() if key.startswith("good")} == {
        f"good-{i}": 1 for i in range(6000)
    }
    assert watch.peak < BOUND
    assert relay.process.poll() is None


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_framing_ends_that_connection_and_is_counted(shared_relay: RelayProcess, kind: str) -> None:
    sent, reason = BROKEN[kind]
    metric = f'peer_errors_total{{reason="{reason}"}}'
    before = shared_relay.metric(metric)
    with BeatsClient(shared_relay.port) as good, Watch(shared_relay) as watch:
        sends(sent)(shared_relay.port)
        good.send(make_events(10, "good"))
        assert good.read_until(10)[-1] == 10
    assert shared_relay.metric(metric) == before + 1
    assert watch.peak < BOUND


@pytest.fixture(scope="module")
def shared_relay(start_relay_for_module: StartRelay) -> RelayProcess:
    """Give one relay for all kinds of broken framing."""
    return start_relay_for_module(**LIMITS)


def test_all_of_them_at_once(start_relay: StartRelay, queue: Queue) -> None:
    relay = start_relay(**LIMITS)
    with others_do_not_notice(relay, queue):
        attacks = [threading.Thread(target=sends(sent), args=(relay.port,)) for sent, _ in BROKEN.values()]
        for attack in attacks:
            attack.start()
        for attack in attacks:
            attack.join()


def test_slow_ones(start_relay: StartRelay, queue: Queue) -> None:
    """One says nothing, one ends in the middle, one sends a byte now and then, and so on."""
    relay = start_relay(**LIMITS)
    whole = frames.encode_window(2) + frames.encode_compressed(ONE * 2, 3)
    with others_do_not_notice(relay, queue), ExitStack() as stack:
        peers = [stack.enter_context(socket.create_connection(("127.0.0.1", relay.port), 20)) for _ in range(6)]
        silent, in_header, in_frame, in_window, drop_by_drop, half_closed = peers
        in_header.sendall(whole[:3])
        in_frame.sendall(whole[:-3])
        in_window.sendall(frames.encode_window(2) + ONE)
        half_closed.sendall(whole)
        half_closed.shutdown(socket.SHUT_WR)
        assert half_closed.recv(6) == frames.encode_ack(1), "it may have ended its side, and still gets its answer"
        start = time.monotonic()
        with suppress(BrokenPipeError, ConnectionResetError):
            for byte in frames.encode_window(2) + frames.encode_event(1, b"x" * 1000):
                drop_by_drop.sendall(bytes([byte]))
                drop_by_drop.settimeout(0.1)
                with suppress(TimeoutError):
                    assert drop_by_drop.recv(6) == b"", "nothing is acknowledged"
                if time.monotonic() - start > 10:
                    pytest.fail("a slow peer was served for ten times the time it has")
        relay.wait_for_metric('peer_errors_total{reason="too_slow"}', 4)
        silent.sendall(whole)
        assert silent.recv(6) == frames.encode_ack(1), "who owes nothing may be idle for longer"


def test_acknowledgements_that_nobody_reads(start_relay: StartRelay, queue: Queue) -> None:
    relay = start_relay(**LIMITS | {"BEATS_IDLE_SECONDS": "2"})
    windows = (frames.encode_window(0) + frames.encode_window(1) + frames.encode_event(1, b"no event")) * 1000
    with others_do_not_notice(relay, queue), socket.socket() as peer:
        peer.settimeout(20)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connect(("127.0.0.1", relay.port))
        with pytest.raises(OSError, match=r"reset|Broken pipe"):  # noqa: PT012
            while True:
                peer.sendall(windows)


def test_events_that_are_too_large_and_windows_without_an_end(start_relay: StartRelay, queue: Queue) -> None:
    relay = start_relay(**LIMITS | {"BEATS_MAX_EVENT_BYTES": "100000", "BEATS_STALL_SECONDS": "20"})
    with others_do_not_notice(relay, queue), ExitStack() as stack:
        for _ in range(5):
            peer = stack.enter_context(socket.create_connection(("127.0.0.1", relay.port), 20))
            for count in range(20):
                peer.sendall(frames.encode_window(2) + frames.encode_event(count, b"{" + b" " * 3 * MEGABYTE) + ONE)
        # Before they hang up: that throws away what the relay has not read yet.
        relay.wait_for_metric('events_dropped_total{reason="oversized"}', 100)


@pytest.mark.parametrize("tls", [False, True])
def test_a_peer_that_is_left_gets_its_last_acknowledgement_and_the_end_at_once(
    start_relay: StartRelay, certificates: Certificates, tls: bool
) -> None:
    relay = start_relay(**(certificates.beats_environment if tls else {}))
    with BeatsClient(relay.port, certificates.client_context() if tls else None) as client:
        client.send(make_events(10, "a"))
        client.socket.sendall(b"no Lumberjack")
        assert client.read_until(10)[-1] == 10
        start = time.monotonic()
        with pytest.raises(OSError, match=r"(?i)ended|EOF"):
            client.read_ack()
        assert time.monotonic() - start < LINGER_SECONDS / 2


def test_more_connections_than_are_allowed(start_relay: StartRelay, queue: Queue) -> None:
    relay = start_relay(**LIMITS | {"BEATS_IDLE_SECONDS": "3"})
    with others_do_not_notice(relay, queue), ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(socket.create_connection(("127.0.0.1", relay.port), 20))
        relay.wait_for_metric("connections_refused_total", 200)
    with wait_for_room(relay) as client:
        client.send(make_events(1, "late"))
        assert client.read_until(1)[-1] == 1


def wait_for_room(relay: RelayProcess) -> BeatsClient:
    """Connect as soon as the others are gone."""
    wait_until(lambda: relay.metric("connections") == 0, "the others are gone")
    return BeatsClient(relay.port)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1")
def test_peers_without_the_right_certificate(
    start_relay: StartRelay, queue: Queue, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stranger = Certificates(tmp_path_factory.mktemp("stranger"))
    relay = start_relay(**LIMITS, **certificates.beats_environment)
    wrong = ssl.create_default_context(cafile=str(certificates.ca))
    wrong.load_cert_chain(*stranger.client)
    old = certificates.client_context()
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    good = Shipper(relay.port, make_events(6000, "good"), tls=certificates.client_context())
    good.start()
    for context in (certificates.client_context(with_certificate=False), wrong, old):
        with pytest.raises(OSError, match=r"(?i)alert|certificate|reset|protocol|ended"):  # noqa: PT012, SIM117
            with BeatsClient(relay.port, context) as client:
                client.send([b'{"id":"stolen"}'])
                client.read_ack()
    sends(b"GET / HTTP/1.1\r\n\r\n")(relay.port)
    sends()(relay.port)
    good.finish()
    for reason, count in (("no_certificate", 1), ("certificate_refused", 1), ("protocol", 2), ("too_slow", 1)):
        assert relay.metric(f'tls_failures_total{{reason="{reason}"}}') == count, reason
    assert queue.collect() == {f"good-{i}": 1 for i in range(6000)}
