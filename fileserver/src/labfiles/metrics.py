"""What is shown to Prometheus, and to the probes: /metrics, /live and /ready. docs/admin/storage.md has the names."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from labfiles import nfs
from labfiles.logs import LoggingServer
from labfiles.storage import Storage
from labfiles.usage import Scanner

ESTABLISHED = "01"
PREFIX = "labfiles"
Family = GaugeMetricFamily | CounterMetricFamily


def gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    """Make a metric of one value."""
    return GaugeMetricFamily(f"{PREFIX}_{name}", text, value=value)


class Storages(Collector):
    """How full the storage is, and with what."""

    def __init__(self, storage: Storage, scanner: Scanner) -> None:
        self._storage, self._scanner = storage, scanner

    def collect(self) -> Iterator[Family]:
        """Ask the file system now; of the folders, give what the last scan found."""
        found = os.statvfs(self._storage.root)
        yield gauge("storage_bytes", "Size of the storage", found.f_blocks * found.f_frsize)
        yield gauge("storage_available_bytes", "What users may still write", found.f_bavail * found.f_frsize)
        yield gauge("storage_inodes", "Files that the storage can hold", found.f_files)
        yield gauge("storage_available_inodes", "Files that can still be made", found.f_favail)
        report = self._scanner.report
        size = GaugeMetricFamily(f"{PREFIX}_folder_bytes", "What a folder holds", labels=["kind", "id"])
        files = GaugeMetricFamily(f"{PREFIX}_folder_files", "Files and folders in a folder", labels=["kind", "id"])
        skipped = 0
        for key, usage in report.folders.items():
            labels = key.split("/")
            size.add_metric(labels, usage.bytes)
            files.add_metric(labels, usage.files)
            skipped += usage.skipped
        yield from (size, files)
        yield gauge("usage_skipped_folders", "Folders too deep to be measured", skipped)
        yield gauge("usage_scanning", "1 while folders are measured, else 0", self._scanner.scanning)
        if report.finished and report.seconds >= 0:
            yield gauge("usage_scan_age_seconds", "Since the last whole scan ended", time.time() - report.finished)
            yield gauge("usage_scan_duration_seconds", "How long the last whole scan took", report.seconds)


class Server(Collector):
    """What can be seen of Ganesha from beside it: Debian's is built without metrics of its own."""

    def __init__(self, port: int, proc: Path = Path("/proc/net")) -> None:
        self._port, self._proc = port, proc

    def collect(self) -> Iterator[Family]:
        """Ask it as a client would, and look at the pod's network."""
        start = time.monotonic()
        try:
            nfs.check("127.0.0.1", self._port)
        except nfs.NfsError:
            yield gauge("nfs_up", "1 if NFS answers for both exports, else 0", 0)
        else:
            yield gauge("nfs_up", "1 if NFS answers for both exports, else 0", 1)
            yield gauge("nfs_answer_seconds", "How long it took for it to answer", time.monotonic() - start)
        yield gauge("nfs_clients", "Connections to the NFS server", self._clients())
        received, sent = self._traffic()
        yield CounterMetricFamily(f"{PREFIX}_network_received_bytes", "Bytes that came into the pod", received)
        yield CounterMetricFamily(f"{PREFIX}_network_sent_bytes", "Bytes that went out of the pod", sent)

    def _clients(self) -> int:
        """Count connections from elsewhere."""
        count = 0
        for name in ("tcp", "tcp6"):
            file = self._proc / name
            for line in file.read_text().splitlines()[1:] if file.exists() else []:
                here, there, state = line.split()[1:4]
                ours = int(here.rpartition(":")[2], 16) == self._port and state == ESTABLISHED
                count += ours and not there.rpartition(":")[0].endswith("0100007F")
        return count

    def _traffic(self) -> tuple[int, int]:
        """Sum up what came and what went, on all interfaces but the pod's own."""
        received = sent = 0
        for line in (self._proc / "dev").read_text().splitlines()[2:]:
            name, _, numbers = line.partition(":")
            if name.strip() != "lo":
                fields = numbers.split()
                received, sent = received + int(fields[0]), sent + int(fields[8])
        return received, sent


def make_registry(storage: Storage, scanner: Scanner, nfs_port: int | None) -> CollectorRegistry:
    """Give all metrics; those of NFS only where there is a port on which it answers."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(Storages(storage, scanner))
    if nfs_port is not None:
        registry.register(Server(nfs_port))
    return registry


def serve(host: str, port: int, registry: CollectorRegistry, ready: Callable[[], bool]) -> LoggingServer:
    """Answer in a thread of its own; give the server.

    Raises
    ------
    OSError
        The port is taken, or not ours.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            status, body = self.answer(self.path.partition("?")[0])
            self.send_response(status)
            self.send_header("Content-Type", CONTENT_TYPE_LATEST)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def answer(self, path: str) -> tuple[int, bytes]:
            """Give a status and a body."""
            if path == "/metrics":
                return 200, generate_latest(registry)
            if path == "/live":
                return 200, b"yes\n"
            if path == "/ready":
                return (200, b"yes\n") if ready() else (503, b"no\n")
            return 404, b"wanted /metrics, /live or /ready\n"

        def log_message(self, *_: object) -> None:
            """Say nothing: a probe comes every few seconds."""

    server = LoggingServer((host, port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True, name="metrics").start()
    return server
