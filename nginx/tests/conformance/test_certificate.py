"""A certificate that is replaced while people work."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from labtesting.certificates import Authority, new_key
from labtesting.edge import Edge
from labtesting.hub_process import wait_until
from websockets.sync.client import connect

from nginx.tests.conftest import RunEdge
from nginx.tests.upstream import run_echo


def as_kubelet(authority: Authority, tls: Path, number: int) -> None:
    """Write the Secret as kubelet does: a new folder, then one rename of the link that leads to it."""
    authority.write(tls / f"..{number}")
    link = tls / "..data.new"
    link.symlink_to(f"..{number}")
    link.rename(tls / "..data")
    for name in ("tls.crt", "tls.key"):
        if not (tls / name).is_symlink():
            (tls / name).symlink_to(f"..data/{name}")


def serial(edge: Edge) -> str:
    """Give the serial number of the certificate that a new connection gets."""
    with (
        socket.create_connection(("127.0.0.1", edge.https_port)) as plain,
        edge.trust.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        certificate = connection.getpeercert()
    assert certificate
    return str(certificate["serialNumber"])


def test_a_replaced_certificate_is_taken_over_and_no_websocket_ends(run: RunEdge, tmp_path: Path) -> None:
    folder = tmp_path / "nginx"
    folder.mkdir()
    authority = Authority(folder)
    as_kubelet(authority, folder / "tls", 1)
    with run_echo() as address, run(folder, address, authority=authority) as edge:
        with connect(f"wss://localhost:{edge.https_port}/user/vera/ws", ssl=edge.trust) as ws:
            before, workers = serial(edge), children(edge.pid)
            as_kubelet(authority, edge.tls, 2)
            wait_until(lambda: serial(edge) != before, "the second certificate is served")
            ws.send("still here")
            assert ws.recv(timeout=10) == "still here"
        # With its last connection the worker that had it ends.
        wait_until(lambda: not workers & children(edge.pid), "the old workers end")


def children(pid: int) -> set[int]:
    """Give the workers of an nginx."""
    found = set()
    for process in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            if b"worker process" in Path(f"/proc/{process}/cmdline").read_bytes():
                found.add(int(process))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def test_a_bad_replacement_is_told_once_and_the_old_certificate_stays(run: RunEdge, tmp_path: Path) -> None:
    with run(tmp_path / "nginx", "127.0.0.1:9") as edge:
        before = serial(edge)
        (edge.tls / "tls.key").write_text("half a ke")
        wait_until(lambda: "found no key in it" in edge.log, "it is told")
        # Another change is the proof that it looked again since.
        edge.authority.write(edge.tls, "other.example.org")
        os.chmod(edge.tls / "tls.key", 0o644)
        wait_until(lambda: "another name than localhost" in edge.log, "the next is told")
        assert serial(edge) == before
        assert edge.log.count("found no key in it; the old certificate stays in use") <= edge.log.count("found no key")
        edge.authority.write(edge.tls, key=new_key())
        wait_until(lambda: serial(edge) != before, "a good one is taken")
