"""Tests of nginx's certificate: replacement while nginx runs, and the OCSP answer that nginx sends with it."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

from labtesting.certificates import Authority, new_key
from labtesting.edge import Edge
from labtesting.hub_process import wait_until
from websockets.sync.client import connect

from nginx.tests.conftest import RunEdge
from nginx.tests.upstream import run_echo, run_upstream


def as_kubelet(authority: Authority, tls: Path, number: int) -> None:
    """Write a new certificate as kubelet updates a Secret: into a new folder, to which the link `..data` then points.

    The files `tls.crt` and `tls.key` are links to files below `..data`.
    """
    authority.write(tls / f"..{number}")
    link = tls / "..data.new"
    link.symlink_to(f"..{number}")
    link.rename(tls / "..data")
    for name in ("tls.crt", "tls.key"):
        if not (tls / name).is_symlink():
            (tls / name).symlink_to(f"..data/{name}")


def serial(edge: Edge) -> str:
    """Return the serial number of the certificate that a new connection receives."""
    with (
        socket.create_connection(("127.0.0.1", edge.https_port)) as plain,
        edge.trust.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        certificate = connection.getpeercert()
    assert certificate
    return str(certificate["serialNumber"])


def test_replaced_certificate_is_loaded_and_keeps_websockets(run: RunEdge, tmp_path: Path) -> None:
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
            assert ws.recv(timeout=180) == "still here"
        # After a reload, an old worker of nginx ends when its last connection is closed.
        wait_until(lambda: not workers & children(edge.pid), "the old workers end")


def children(pid: int) -> set[int]:
    """Return the process ids of nginx's worker processes. `pid` is the process id of nginx's main process."""
    workers = set()
    for process in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            if b"worker process" in Path(f"/proc/{process}/cmdline").read_bytes():
                workers.add(int(process))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return workers


def test_ocsp_answer_is_stapled(run: RunEdge, tmp_path: Path) -> None:
    folder = tmp_path / "nginx"
    folder.mkdir()
    authority = Authority(folder)
    with run_upstream() as responder:
        certificate = authority.write(folder / "tls", responder=f"http://{responder.address}/ocsp")
        responder.body, responder.kind = authority.sign_ocsp_response(certificate), "application/ocsp-response"
        with run(folder, "127.0.0.1:9", authority=authority) as edge:
            address = f"127.0.0.1:{edge.https_port}"
            command = ["openssl", "s_client", "-connect", address, "-servername", "localhost", "-status"]

            def connect_with_openssl() -> str:
                return subprocess.run(command, input="", capture_output=True, text=True, check=False).stdout

            # At the first connection, nginx requests the OCSP answer. nginx sends the OCSP answer only to clients that
            # connect later.
            wait_until(lambda: "Cert Status: good" in connect_with_openssl(), "the OCSP answer is stapled")


def test_bad_replacement_is_logged_and_old_certificate_kept(run: RunEdge, tmp_path: Path) -> None:
    with run(tmp_path / "nginx", "127.0.0.1:9") as edge:
        before = serial(edge)
        (edge.tls / "tls.key").write_text("half a ke")
        error = "tls.key: found no private key, wanted PEM without a password; nginx keeps the old certificate"
        wait_until(lambda: error in edge.log, "the wrong key is logged")
        # nginx logs a different error for this second change. The new error shows that `start` has checked the files
        # again.
        edge.authority.write(edge.tls, "other.example.org")
        os.chmod(edge.tls / "tls.key", 0o644)
        wait_until(lambda: "the certificate is not valid for localhost" in edge.log, "the wrong name is logged")
        assert serial(edge) == before
        # nginx logs an error only once until a file changes again. `write` changes each file in several steps, so the
        # error for the wrong key can appear up to four times.
        assert edge.log.count(error) <= 4
        edge.authority.write(edge.tls, key=new_key())
        wait_until(lambda: serial(edge) != before, "a good certificate is loaded")
