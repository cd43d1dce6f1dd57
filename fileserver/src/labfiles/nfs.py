"""The NFS probe, which runs one real operation on each export. The program is `python -m labfiles.nfs`.

The operation is an NFSv4.0 COMPOUND (RFC 7530) of PUTROOTFH, LOOKUP of the export and GETATTR of its file system id.
The operation needs neither a client id nor a session.

A check of the port alone is not enough, because Ganesha runs even if an export failed. The path of a failed export does
not exist, or leads to a folder in the file system of the NFS root. So the probe compares the file system id.
"""

from __future__ import annotations

import os
import socket
import struct
import sys

from labfiles.storage import EXPORTS

PROGRAM, VERSION = 100003, 4
COMPOUND = 1
PUTROOTFH, LOOKUP, GETATTR = 24, 15, 9
FSID = 8
AUTH_SYS, ANONYMOUS_ID = 1, 65534
SECONDS = 5
# The value Filesystem_id of each export in ganesha.conf.
FSIDS = {"home": (1, 1), "project": (2, 2)}
STATUS = {
    2: "no such export",
    5: "input/output error",
    13: "permission denied",
    70: "stale file handle",
    10013: "the server is in its grace period after a restart",
}


class NfsError(Exception):
    """A missing or wrong answer of the NFS server. The message has the reason."""


def pack_opaque(data: bytes) -> bytes:
    """Return bytes as variable-length opaque data of XDR (RFC 4506)."""
    return struct.pack(">I", len(data)) + data + b"\0" * (-len(data) % 4)


def pack_call(xid: int, export: str) -> bytes:
    """Return the RPC call that requests the file system id of an export, as one RPC record."""
    # The call has an AUTH_SYS credential with UID and GID 65534 and no other groups, and an empty verifier.
    user = struct.pack(">I", 0) + pack_opaque(b"probe") + struct.pack(">III", ANONYMOUS_ID, ANONYMOUS_ID, 0)
    credential = struct.pack(">I", AUTH_SYS) + pack_opaque(user) + struct.pack(">II", 0, 0)
    head = struct.pack(">IIIIII", xid, 0, 2, PROGRAM, VERSION, COMPOUND) + credential
    operations = struct.pack(">I", PUTROOTFH) + struct.pack(">I", LOOKUP) + pack_opaque(export.encode())
    operations += struct.pack(">III", GETATTR, 1, 1 << FSID)
    body = head + pack_opaque(b"labfiles") + struct.pack(">II", 0, 3) + operations
    return struct.pack(">I", 1 << 31 | len(body)) + body


def receive(connection: socket.socket, length: int) -> bytes:
    """Receive exactly this number of bytes from the NFS server.

    Raises
    ------
    NfsError
        Raised if the server closes the connection early.
    """
    data = b""
    while len(data) < length:
        more = connection.recv(length - len(data))
        if not more:
            raise NfsError("the server closed the connection")
        data += more
    return data


def read_fsid(reply: bytes, xid: int) -> tuple[int, int]:
    """Return the file system id in the reply to the call with the id `xid`.

    Raises
    ------
    NfsError
        Raised if the operation failed, or if the bytes are not a reply to the call.
    """
    try:
        reply_xid, kind, state, _, verifier = struct.unpack_from(">IIIII", reply)
        at = 20 + verifier + (-verifier % 4)
        accepted, status, tag = struct.unpack_from(">III", reply, at)
        if (reply_xid, kind, state, accepted) != (xid, 1, 0, 0):
            raise NfsError(f"the server refused the call: {(reply_xid == xid, kind, state, accepted)}")
        if status:
            raise NfsError(STATUS.get(status, f"NFS error {status}"))
        # Skip the tag, the number of results, and two results of 8 bytes. Then skip the operation and status of the
        # third result.
        at += 12 + tag + (-tag % 4) + 4 + 16 + 8
        (words,) = struct.unpack_from(">I", reply, at)
        major, minor = struct.unpack_from(">QQ", reply, at + 4 + 4 * words + 4)
    except struct.error as error:
        raise NfsError(f"found an answer of {len(reply)} bytes that is not a reply to the call") from error
    return major, minor


def ask_fsid(host: str, port: int, export: str, seconds: float = SECONDS) -> tuple[int, int]:
    """Request the file system id of an export from the server, and return it.

    Raises
    ------
    NfsError
        Raised if the export does not exist, or if no server answers in time.
    """
    xid = int.from_bytes(os.urandom(4), "big")
    try:
        with socket.create_connection((host, port), seconds) as connection:
            connection.settimeout(seconds)
            connection.sendall(pack_call(xid, export))
            reply = b""
            last = 0
            while not last:
                (mark,) = struct.unpack(">I", receive(connection, 4))
                last = mark >> 31
                reply += receive(connection, min(mark & 0x7FFFFFFF, 4096))
    except OSError as error:
        raise NfsError(str(error)) from error
    return read_fsid(reply, xid)


def check_exports(host: str, port: int, seconds: float = SECONDS) -> None:
    """Check that each export exists and has the file system id of ganesha.conf.

    Raises
    ------
    NfsError
        Raised for the first export that is missing or has another file system id.
    """
    for export in EXPORTS:
        try:
            fsid = ask_fsid(host, port, export, seconds)
        except NfsError as error:
            raise NfsError(f"/{export}: {error}") from error
        if fsid != FSIDS[export]:
            raise NfsError(f"/{export}: found the file system {fsid}, wanted {FSIDS[export]}: the export failed")


if __name__ == "__main__":
    try:
        check_exports("127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 2049)
    except NfsError as error:
        sys.exit(f"nfs: {error}")
