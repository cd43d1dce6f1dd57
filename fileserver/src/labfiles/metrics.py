"""The HTTP endpoints /metrics, /live and /ready. docs/admin/metrics.md explains the metrics."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from labfiles import nfs
from labfiles.shared import probe_server
from labfiles.shared.logging_server import LoggingHTTPServer
from labfiles.storage import Storage
from labfiles.usage import Scanner

ESTABLISHED = "01"
PREFIX = "labfiles"
Family = GaugeMetricFamily | CounterMetricFamily


def gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    """Return a gauge with this name, help text and value."""
    return GaugeMetricFamily(f"{PREFIX}_{name}", text, value=value)


class StorageCollector(Collector):
    """Metrics of the file system, and of the usage of each folder."""

    def __init__(self, storage: Storage, scanner: Scanner) -> None:
        self._storage, self._scanner = storage, scanner

    def collect(self) -> Iterator[Family]:
        """Yield metrics of the current state of the file system, and of the folders' usage in the last scan."""
        disk = os.statvfs(self._storage.root)
        yield gauge("storage_bytes", "Size of the storage", disk.f_blocks * disk.f_frsize)
        yield gauge("storage_available_bytes", "Free space for users", disk.f_bavail * disk.f_frsize)
        yield gauge("storage_inodes", "Number of inodes of the storage", disk.f_files)
        yield gauge("storage_available_inodes", "Number of free inodes", disk.f_favail)
        yield from self._folders()
        yield gauge("usage_scanning", "1 while a scan measures the folders, else 0", self._scanner.scanning)
        report = self._scanner.report
        if report.finished and report.seconds >= 0:
            age = time.time() - report.finished
            yield gauge("usage_scan_age_seconds", "Time since the end of the last complete scan", age)
            yield gauge("usage_scan_duration_seconds", "Duration of the last complete scan", report.seconds)

    def _folders(self) -> Iterator[Family]:
        size = GaugeMetricFamily(f"{PREFIX}_folder_bytes", "Disk space that a folder uses", labels=["kind", "id"])
        files = GaugeMetricFamily(f"{PREFIX}_folder_files", "Files and folders in a folder", labels=["kind", "id"])
        skipped = 0
        for key, usage in self._scanner.report.folders.items():
            labels = key.split("/")
            size.add_metric(labels, usage.bytes)
            files.add_metric(labels, usage.files)
            skipped += usage.skipped
        yield from (size, files)
        yield gauge("usage_skipped_folders", "Folders that are nested too deep to be measured", skipped)


class NfsCollector(Collector):
    """Metrics of Ganesha, measured from outside, because Debian builds Ganesha without its own metrics."""

    def __init__(self, port: int, proc: Path = Path("/proc/net")) -> None:
        self._port, self._proc = port, proc

    def collect(self) -> Iterator[Family]:
        """Yield metrics with the result of an NFS operation on each export, and with the pod's network traffic."""
        start = time.monotonic()
        try:
            nfs.check_exports("127.0.0.1", self._port)
        except nfs.NfsError:
            yield gauge("nfs_up", "1 if NFS answers for both exports, else 0", 0)
        else:
            yield gauge("nfs_up", "1 if NFS answers for both exports, else 0", 1)
            yield gauge("nfs_answer_seconds", "Time of one NFS operation on each export", time.monotonic() - start)
        yield gauge("nfs_clients", "Connections to the NFS server", self._count_clients())
        received, sent = self._sum_traffic()
        yield CounterMetricFamily(f"{PREFIX}_network_received_bytes", "Bytes that the pod has received", received)
        yield CounterMetricFamily(f"{PREFIX}_network_sent_bytes", "Bytes that the pod has sent", sent)

    def _count_clients(self) -> int:
        """Return the number of established connections to the NFS port, without those from this machine."""
        count = 0
        for name in ("tcp", "tcp6"):
            file = self._proc / name
            for line in file.read_text().splitlines()[1:] if file.exists() else []:
                local, remote, state = line.split()[1:4]
                is_nfs = int(local.rpartition(":")[2], 16) == self._port and state == ESTABLISHED
                count += is_nfs and not remote.rpartition(":")[0].endswith("0100007F")
        return count

    def _sum_traffic(self) -> tuple[int, int]:
        """Return the number of received bytes and of sent bytes on all network interfaces except loopback."""
        received = sent = 0
        for line in (self._proc / "dev").read_text().splitlines()[2:]:
            name, _, numbers = line.partition(":")
            if name.strip() != "lo":
                fields = numbers.split()
                received, sent = received + int(fields[0]), sent + int(fields[8])
        return received, sent


def create_registry(storage: Storage, scanner: Scanner, nfs_port: int | None) -> CollectorRegistry:
    """Return a registry with all metrics of labfiles. If `nfs_port` is None, the registry has no metrics of NFS."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(StorageCollector(storage, scanner))
    if nfs_port is not None:
        registry.register(NfsCollector(nfs_port))
    return registry


def serve(host: str, port: int, registry: CollectorRegistry, is_ready: Callable[[], bool]) -> LoggingHTTPServer:
    """Serve the metrics and probes in a thread, and return the server.

    Raises
    ------
    OSError
        Raised if the address cannot be bound.
    """
    return probe_server.serve(host, port, registry, {"/live": lambda: True, "/ready": is_ready})
