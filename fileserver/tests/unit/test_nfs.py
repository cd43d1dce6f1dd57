"""Tests of the NFS probe: its call and its parser. tests/image runs the probe against the real server."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labfiles.nfs import NfsError, ask_fsid, pack_call, read_fsid


def reply(xid: int, status: int = 0, fsid: tuple[int, int] = (1, 1)) -> bytes:
    """Return the reply of an NFS server to the probe's call, in the format of RFC 7530."""
    head = struct.pack(">IIIIII", xid, 1, 0, 0, 0, 0)
    if status:
        return head + struct.pack(">IIIIIII", status, 0, 2, 24, 0, 15, status)
    results = struct.pack(">IIIIII", 24, 0, 15, 0, 9, 0)
    return head + struct.pack(">III", 0, 0, 3) + results + struct.pack(">IIIQQ", 1, 1 << 8, 16, *fsid)


def test_the_id_of_the_file_system_is_read() -> None:
    assert read_fsid(reply(7, fsid=(2, 2)), 7) == (2, 2)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (reply(7, 2), "no such export"),
        (reply(7, 5), "input/output error"),
        (reply(7, 10016), "NFS error 10016"),
        (reply(8), "the server refused the call"),
        (struct.pack(">IIIII", 7, 1, 1, 1, 5), "found an answer of 20 bytes"),
    ],
)
def test_the_error_has_the_reason(answer: bytes, message: str) -> None:
    with pytest.raises(NfsError, match=message):
        read_fsid(answer, 7)


@given(st.binary(max_size=200))
def test_random_bytes_are_an_error(answer: bytes) -> None:
    with pytest.raises(NfsError):
        read_fsid(answer, 1 << 31)


@contextmanager
def server(*parts: bytes) -> Iterator[int]:
    """Run a server that answers one call with these parts, each sent separately. Yield the server's port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def run() -> None:
            connection, _ = listening.accept()
            with connection:
                call = connection.recv(4096)
                for part in parts:
                    connection.sendall(part.replace(b"XID_", call[4:8]))

        thread = threading.Thread(target=run)
        thread.start()
        yield listening.getsockname()[1]
        thread.join()


def test_a_reply_in_pieces_is_assembled() -> None:
    whole = b"XID_" + reply(0)[4:]
    pieces = struct.pack(">I", 40) + whole[:40], struct.pack(">I", 1 << 31 | len(whole[40:])) + whole[40:50], whole[50:]
    with server(*pieces) as port:
        assert ask_fsid("127.0.0.1", port, "home") == (1, 1)


def test_a_closed_or_silent_connection_is_an_error() -> None:
    with server() as port, pytest.raises(NfsError, match="the server closed the connection"):
        ask_fsid("127.0.0.1", port, "home")
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(NfsError, match="timed out"):
        ask_fsid("127.0.0.1", silent.getsockname()[1], "home", 0.2)


def test_the_call_is_one_record() -> None:
    packed = pack_call(7, "home")
    assert struct.unpack(">I", packed[:4])[0] == 1 << 31 | len(packed) - 4
    assert len(packed) % 4 == 0
