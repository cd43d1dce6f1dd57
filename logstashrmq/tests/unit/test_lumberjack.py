"""Tests of the Lumberjack protocol without sockets.

The result must not depend on how the stream is split into pieces.
"""

from __future__ import annotations

import itertools
import tracemalloc
import zlib
from collections.abc import Iterable, Iterator

import pytest
from beatsrelay.lumberjack import frames
from beatsrelay.lumberjack.connection import NEED_DATA, Chunk, ClientConnection, ServerConnection
from beatsrelay.lumberjack.events import OVERSIZED_BYTES_KEPT, OversizedEvent
from beatsrelay.lumberjack.frames import ProtocolError
from beatsrelay.lumberjack.inflater import INFLATE_BYTES
from beatsrelay.lumberjack.limits import Limits
from hypothesis import given, settings
from hypothesis import strategies as st

LIMITS = Limits(window=50, event=300, frame=10_000, inflated=20_000)
# A received window: events, oversized events, and the last sequence number
Window = tuple[list[bytes], list[OversizedEvent], int]
# A window to send: events, and the compression level
SentWindow = tuple[list[bytes], int]


def receive_chunks(connection: ServerConnection, pieces: Iterable[bytes]) -> Iterator[Chunk]:
    """Pass the pieces of a stream to a connection, and yield the chunks that the connection returns."""
    for piece in pieces:
        connection.receive_data(piece)
        while True:
            idle = connection.idle
            if (chunk := connection.next_event()) is NEED_DATA:
                break
            assert not idle
            yield chunk


def receive_windows(pieces: Iterable[bytes], limits: Limits = LIMITS) -> list[Window]:
    """Return the windows that a server receives from the pieces of a stream. The chunks of each window are joined."""
    windows: list[Window] = []
    events: list[bytes] = []
    oversized: list[OversizedEvent] = []
    for chunk in receive_chunks(ServerConnection(limits), pieces):
        events += chunk.events
        oversized += chunk.oversized
        if chunk.last:
            windows.append((events, oversized, chunk.sequence))
            events, oversized = [], []
    assert not events, "the last window is incomplete"
    return windows


def split_at(stream: bytes, offsets: list[int]) -> list[bytes]:
    """Split a stream at these offsets. An offset that is larger than the stream is reduced modulo the length."""
    inside = sorted({0, len(stream), *(offset % (len(stream) + 1) for offset in offsets)})
    return [stream[start:stop] for start, stop in itertools.pairwise(inside)]


def split_evenly(stream: bytes, size: int) -> list[bytes]:
    """Split a stream into pieces of `size` bytes."""
    return [stream[start : start + size] for start in range(0, len(stream), size)]


SENT_WINDOWS = st.lists(
    st.tuples(st.lists(st.binary(max_size=LIMITS.event), max_size=8), st.integers(0, 9)), min_size=1, max_size=4
)


def encode_windows(sent: list[SentWindow]) -> tuple[bytes, list[Window]]:
    """Return the stream of a client that sends these windows, and the windows that the server should receive."""
    client = ClientConnection()
    stream = b"".join(client.send(payloads, level=level) for payloads, level in sent if payloads or level == 0)
    received = [payloads for payloads, level in sent if payloads or level == 0]
    return stream, [(payloads, [], len(payloads)) for payloads in received]


def test_stream_is_parsed_the_same_at_every_split_point() -> None:
    payloads = [b'{"a":1}', b"", b"{}" * 20]
    client = ClientConnection()
    stream = client.send(payloads, level=0) + client.send(payloads, level=5) + client.send([], level=0)
    for size in range(1, len(stream) + 1):
        windows = receive_windows(split_evenly(stream, size))
        assert windows == [(payloads, [], 3), (payloads, [], 3), ([], [], 0)]


@given(SENT_WINDOWS, st.lists(st.integers(min_value=0), max_size=20))
def test_received_windows_are_the_sent_ones(sent: list[SentWindow], offsets: list[int]) -> None:
    stream, expected = encode_windows(sent)
    assert receive_windows(split_at(stream, offsets)) == expected


@given(st.binary(max_size=400), st.integers(1, 40))
def test_garbage_has_one_outcome_for_all_splits(garbage: bytes, size: int) -> None:
    stream = frames.encode_window(3) + garbage

    def receive(pieces: list[bytes]) -> object:
        try:
            chunks = list(receive_chunks(ServerConnection(LIMITS), pieces))
        except ProtocolError as error:
            return error.reason
        return [event for chunk in chunks for event in chunk.events]

    assert receive(split_evenly(stream, size)) == receive([stream])


@given(SENT_WINDOWS, st.integers(min_value=0), st.integers(0, 255), st.lists(st.integers(min_value=0), max_size=5))
@settings(max_examples=300)
def test_changed_byte_breaks_only_its_stream(
    sent: list[SentWindow], offset: int, byte: int, offsets: list[int]
) -> None:
    stream, _ = encode_windows(sent)
    if stream:
        offset %= len(stream)
        stream = stream[:offset] + bytes([byte]) + stream[offset + 1 :]
    connection = ServerConnection(LIMITS)
    violation: ProtocolError | None = None
    try:
        for chunk in receive_chunks(connection, split_at(stream, offsets)):
            assert len(chunk.events) <= LIMITS.window
            assert all(len(event) <= LIMITS.event for event in chunk.events)
    except ProtocolError as error:
        violation = error
    if violation:
        with pytest.raises(ProtocolError) as again:
            connection.next_event()
        assert again.value is violation, "the same error is raised again"


@pytest.mark.parametrize("level", [0, 3])
def test_connection_is_idle_after_all_windows(level: int) -> None:
    connection = ServerConnection(LIMITS)
    window = ClientConnection().send([b"{}"] * 3, level=level)
    idle = [connection.idle]
    for piece in (window + window[:1], window[1:]):  # the first piece also contains the start of the second window
        connection.receive_data(piece)
        idle.append(connection.idle)
        assert len(list(iter(connection.next_event, NEED_DATA))) == 1
        idle.append(connection.idle)
    assert idle == [True, False, True, False, True]


def test_connection_is_idle_inside_an_event() -> None:
    connection = ServerConnection(LIMITS)
    window = ClientConnection().send([b"x" * 90, b"y" * 5000, b"{}"], level=0)
    idle, received = [], 0
    for piece in split_evenly(window, 50):
        connection.receive_data(piece)
        idle.append(connection.idle)
        for chunk in iter(connection.next_event, NEED_DATA):
            assert isinstance(chunk, Chunk)
            received += len(chunk.events) + len(chunk.oversized)
    assert received == 3
    assert idle.count(False) == 3, "not idle at the start of the window, and at the end of each long event"


def test_sequence_may_continue_in_the_next_window() -> None:
    client = ClientConnection()
    stream = client.send([b"{}"] * 3, first=1) + client.send([b"{}"] * 2, first=4)
    assert [sequence for _, _, sequence in receive_windows([stream])] == [3, 5]


def test_new_window_ends_an_incomplete_one() -> None:
    first = frames.encode_window(5) + frames.encode_event(1, b"{}")
    second = frames.encode_window(1) + frames.encode_event(1, b"{1}")
    assert receive_windows([first + second]) == [([b"{}"], [], 1), ([b"{1}"], [], 1)]


@pytest.mark.parametrize("level", [0, 6])
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_oversized_event_is_skipped_and_reported(level: int, size: int) -> None:
    limits = Limits(window=50, event=300, frame=200_000, inflated=200_000)
    large = bytes(range(256)) * 300
    stream = ClientConnection().send([b"{}", large, b"{1}"], level=level)
    oversized = OversizedEvent(len(large), large[:OVERSIZED_BYTES_KEPT])
    assert receive_windows(split_evenly(stream, size), limits) == [([b"{}", b"{1}"], [oversized], 3)]


@pytest.mark.parametrize("frame", [frames.DATA, frames.COMPRESSED])
def test_error_names_the_limit_of_the_frame(frame: int) -> None:
    header = (
        frames.EVENT_HEADER.pack(frame, 1, 10_001) if frame == frames.DATA else frames.SHORT_HEADER.pack(frame, 10_001)
    )
    with pytest.raises(ProtocolError, match=r"of 10001 bytes, wanted up to 10000$"):
        receive_windows([frames.encode_window(1) + header])


def test_memory_of_a_connection_is_bounded() -> None:
    event = b"{" + b" " * 900_000 + b"}"
    compressed = zlib.compress(b"".join(frames.encode_event(i, event) for i in range(1, 101)), 9)
    header = frames.SHORT_HEADER.pack(frames.COMPRESSED, len(compressed))
    stream = frames.encode_window(100) + header + compressed
    del compressed
    connection = ServerConnection(Limits())
    tracemalloc.start()
    connection.receive_data(stream)
    received = sum(len(chunk.events) for chunk in receive_chunks(connection, [b""]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert received == 100
    assert peak < 4 * (len(event) + INFLATE_BYTES) + 2 * len(stream)


def test_client_reads_acknowledgements_byte_by_byte() -> None:
    client = ClientConnection()
    acks = []
    for byte in frames.encode_ack(0) + frames.encode_ack(2**32 - 1):
        client.receive_data(bytes([byte]))
        if (ack := client.next_ack()) is not NEED_DATA:
            acks.append(ack)
    assert acks == [0, 2**32 - 1]
    client.receive_data(frames.encode_window(1))
    with pytest.raises(ProtocolError):
        client.next_ack()
