"""A DNS server with one address for each name. A test may change the addresses at any time."""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

ANSWER, NO_SUCH_NAME = 0x8180, 0x8183
IPV4, INTERNET, HEADER = 1, 1, 12


@contextmanager
def run_nameserver(addresses: dict[str, str], host: str = "127.0.0.1") -> Iterator[str]:
    """Answer DNS questions over UDP until the end of the block, and yield the `host:port` of the server.

    Parameters
    ----------
    addresses
        IPv4 addresses by name. A change of this dictionary takes effect with the next answer. The TTL of answers is one
        hour.
    """

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            question, udp = self.request
            udp.sendto(answer(question, addresses), self.client_address)

    with socketserver.ThreadingUDPServer((host, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"{host}:{server.server_address[1]}"
        server.shutdown()


def answer(question: bytes, addresses: dict[str, str]) -> bytes:
    """Return the answer to a DNS question: an A record, no record, or an error if the name does not exist."""
    labels, at = [], HEADER
    while length := question[at]:
        labels.append(question[at + 1 : at + 1 + length].decode())
        at += 1 + length
    question_section = question[HEADER : at + 5]
    (kind,) = struct.unpack(">H", question[at + 1 : at + 3])
    address = addresses.get(".".join(labels))
    records = b""
    if address and kind == IPV4:
        # 0xC00C is a pointer to the name in the question.
        records = struct.pack(">HHHIH", 0xC00C, IPV4, INTERNET, 3600, 4) + socket.inet_aton(address)
    flags = ANSWER if address else NO_SUCH_NAME
    return question[:2] + struct.pack(">HHHHH", flags, 1, bool(records), 0, 0) + question_section + records
