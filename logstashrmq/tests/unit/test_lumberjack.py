"""The protocol without sockets: however a stream is cut, the same comes out; whatever comes, little is held."""

from __future__ import annotations

import itertools
import tracemalloc
import zlib
from collections.abc import Iterable, Iterator

import pytest
from beatsrelay.lumberjack import frames
from beatsrelay.lumberjack.connection import NEED_DATA, Chunk, ClientConnection, ServerConnection
from beatsrelay.lumberjack.events import KEPT, PIECE, Limits, Oversized
from beatsrelay.lumberjack.frames import ProtocolError
from hypothesis import given, settings
from hypothesis import strategies as st

LIMITS = Limits(window=50, event=300, frame=10_000, inflated=20_000)
Window = tuple[list[bytes], list[Oversized], int]


def chunks(connection: ServerConnection, pieces: Iterable[bytes]) -> Iterator[Chunk]:
    """Feed pieces, and give what comes out."""
    for piece in pieces:
        connection.receive_data(piece)
        while True:
            idle = connection.idle
            if (chunk := connection.next_event()) is NEED_DATA:
                break
            assert not idle
            yield chunk


def windows(pieces: Iterable[bytes], limits: Limits = LIMITS) -> list[Window]:
    """Put the chunks of each window together."""
    found: list[Window] = []
    events: list[bytes] = []
    oversized: list[Oversized] = []
    for chunk in chunks(ServerConnection(limits), pieces):
        events += chunk.events
        oversized += chunk.oversized
        if chunk.last:
            found.append((events, oversized, chunk.sequence))
            events, oversized = [], []
    assert not events, "a window without an end"
    return found


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    """Cut a stream at places."""
    inside = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    return [stream[start:stop] for start, stop in itertools.pairwise(inside)]


SOME_WINDOWS = st.lists(
    st.tuples(st.lists(st.binary(max_size=LIMITS.event), max_size=8), st.integers(0, 9)), min_size=1, max_size=4
)


def write(some: list[tuple[list[bytes], int]]) -> tuple[bytes, list[Window]]:
    """Write windows as a client does; give what should come of them."""
    client = ClientConnection()
    stream = b"".join(client.send(payloads, level=level) for payloads, level in some if payloads or level == 0)
    kept = [payloads for payloads, level in some if payloads or level == 0]
    return stream, [(payloads, [], len(payloads)) for payloads in kept]


def test_every_split_point() -> None:
    payloads = [b'{"a":1}', b"", b"{}" * 20]
    client = ClientConnection()
    stream = client.send(payloads, level=0) + client.send(payloads, level=5) + client.send([], level=0)
    for size in range(1, len(stream) + 1):
        pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
        assert windows(pieces) == [(payloads, [], 3), (payloads, [], 3), ([], [], 0)]


@given(SOME_WINDOWS, st.lists(st.integers(min_value=0), max_size=20))
def test_what_a_client_writes_is_read_however_it_is_cut(some: list[tuple[list[bytes], int]], places: list[int]) -> None:
    stream, expected = write(some)
    assert windows(cut(stream, places)) == expected


@given(st.binary(max_size=400), st.integers(1, 40))
def test_garbage_is_refused_or_awaited_and_the_same_however_it_is_cut(garbage: bytes, size: int) -> None:
    stream = frames.window(3) + garbage

    def outcome(pieces: list[bytes]) -> object:
        try:
            found = list(chunks(ServerConnection(LIMITS), pieces))
        except ProtocolError as error:
            return error.reason
        return [event for chunk in found for event in chunk.events]

    assert outcome([stream[i : i + size] for i in range(0, len(stream), size)]) == outcome([stream])


@given(SOME_WINDOWS, st.integers(min_value=0), st.integers(0, 255), st.lists(st.integers(min_value=0), max_size=5))
@settings(max_examples=300)
def test_a_byte_that_is_changed_breaks_nothing_but_the_stream(
    some: list[tuple[list[bytes], int]], place: int, byte: int, places: list[int]
) -> None:
    stream, _ = write(some)
    if stream:
        place %= len(stream)
        stream = stream[:place] + bytes([byte]) + stream[place + 1 :]
    connection = ServerConnection(LIMITS)
    broken: ProtocolError | None = None
    try:
        for chunk in chunks(connection, cut(stream, places)):
            assert len(chunk.events) <= LIMITS.window
            assert all(len(event) <= LIMITS.event for event in chunk.events)
    except ProtocolError as error:
        broken = error
    if broken:
        with pytest.raises(ProtocolError) as again:
            connection.next_event()
        assert again.value is broken, "an error is sticky"


@pytest.mark.parametrize("level", [0, 3])
def test_it_is_idle_once_all_windows_were_given(level: int) -> None:
    connection = ServerConnection(LIMITS)
    window = ClientConnection().send([b"{}"] * 3, level=level)
    idle = [connection.idle]
    for piece in (window + window[:1], window[1:]):  # the second begins with the first piece
        connection.receive_data(piece)
        idle.append(connection.idle)
        assert len(list(iter(connection.next_event, NEED_DATA))) == 1
        idle.append(connection.idle)
    assert idle == [True, False, True, False, True]


def test_it_is_idle_while_an_event_comes() -> None:
    connection = ServerConnection(LIMITS)
    window = ClientConnection().send([b"x" * 90, b"y" * 5000, b"{}"], level=0)
    idle, given = [], 0
    for at in range(0, len(window), 50):
        connection.receive_data(window[at : at + 50])
        idle.append(connection.idle)
        for chunk in iter(connection.next_event, NEED_DATA):
            assert isinstance(chunk, Chunk)
            given += len(chunk.events) + len(chunk.oversized)
    assert given == 3
    assert idle.count(False) == 3, "when the window began, and when each of the long ones had come"


def test_a_sequence_that_is_never_begun_anew_is_acknowledged_as_it_is() -> None:
    client = ClientConnection()
    stream = client.send([b"{}"] * 3, first=1) + client.send([b"{}"] * 2, first=4)
    assert [sequence for _, _, sequence in windows([stream])] == [3, 5]


def test_a_window_that_ends_early_is_given_as_it_is() -> None:
    stream = frames.window(5) + frames.data(1, b"{}") + frames.window(1) + frames.data(1, b"{1}")
    assert windows([stream]) == [([b"{}"], [], 1), ([b"{1}"], [], 1)]


@pytest.mark.parametrize("level", [0, 6])
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_large_event_is_skipped_and_reported_between_its_neighbours(level: int, size: int) -> None:
    limits = Limits(window=50, event=300, frame=200_000, inflated=200_000)
    large = bytes(range(256)) * 300
    stream = ClientConnection().send([b"{}", large, b"{1}"], level=level)
    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    assert windows(pieces, limits) == [([b"{}", b"{1}"], [Oversized(len(large), large[:KEPT])], 3)]


def test_what_is_held_is_bounded_whatever_comes() -> None:
    event = b"{" + b" " * 900_000 + b"}"
    packed = zlib.compress(b"".join(frames.data(i, event) for i in range(1, 101)), 9)
    stream = frames.window(100) + frames.SHORT.pack(frames.COMPRESSED, len(packed)) + packed
    del packed
    connection = ServerConnection(Limits())
    tracemalloc.start()
    connection.receive_data(stream)
    seen = sum(len(chunk.events) for chunk in chunks(connection, [b""]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seen == 100
    assert peak < 4 * (len(event) + PIECE) + 2 * len(stream)


def test_acknowledgements_come_out_however_they_are_cut() -> None:
    client = ClientConnection()
    found = []
    for byte in frames.ack(0) + frames.ack(2**32 - 1):
        client.receive_data(bytes([byte]))
        if (ack := client.next_ack()) is not NEED_DATA:
            found.append(ack)
    assert found == [0, 2**32 - 1]
    client.receive_data(frames.window(1))
    with pytest.raises(ProtocolError):
        client.next_ack()
