"""The process that ships logs in the tests, and the log files that this shipper reads.

The shipper is the test shipper (`testing/shipper`), or the image that the environment variable SHIPPER_IMAGE names.
"""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import yaml
from labtesting.container import Container, run_container

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "filebeat" / "kubernetes"
SOURCE = ROOT / "testing" / "shipper"
BATCH = 2048
NANOSECONDS = count(time.time_ns())
# The name of a pod's log folder, as kubelet forms it: namespace, pod name and UID. With filebeat.yml, log lines may
# name a user only in the namespace `jupyterlabdemo`.
POD = "jupyterlabdemo_a-pod_3f0c1a52-7a40-4c3e-9f6e-0d6ae1b0e7a1"


def filebeat_yml() -> str:
    """Return the text of `filebeat.yml`, which is in the manifest `configmap.yaml`."""
    text: str = yaml.safe_load((MANIFESTS / "configmap.yaml").read_text())["data"]["filebeat.yml"]
    return text


def without_cluster(text: str, port: int, http_port: int, places: dict[str, Path]) -> str:
    """Return a changed configuration that works without a cluster: local addresses, no Kubernetes API, shorter waits.

    Parameters
    ----------
    text
        The configuration from the ConfigMap.
    port
        Port of the relay.
    http_port
        Port of the shipper's own HTTP endpoint.
    places
        Folders of this machine that replace folders of the pod, by the path in the pod.
    """
    settings: dict[str, Any] = yaml.safe_load(text)
    settings["processors"] = [
        processor for processor in settings["processors"] if "add_kubernetes_metadata" not in processor
    ]
    settings |= {"http.host": "127.0.0.1", "http.port": http_port}
    [source] = settings["filebeat.inputs"]
    source |= dict.fromkeys(("prospector.scanner.check_interval", "backoff.init", "backoff.max"), "200ms")
    source["parsers"][1]["multiline"]["timeout"] = settings["queue.mem"]["flush.timeout"] = "200ms"
    settings["output.logstash"]["hosts"] = [f"localhost:{port}"]
    written = yaml.safe_dump(settings, sort_keys=False, width=1000)
    for inside, outside in places.items():
        written = written.replace(inside, str(outside))
    return written


@dataclass
class LogFile:
    """The log files of one container. The methods write lines as containerd does, and rotate files as kubelet does."""

    folder: Path
    name: str = "0.log"

    @property
    def path(self) -> Path:
        """The path of the newest file of the log, to which new lines are appended."""
        return self.folder / self.name

    def write(self, *lines: bytes, stream: str = "stdout") -> None:
        """Append each message to the log as one complete line in CRI format."""
        self.write_raw(b"".join(self.whole(line, stream) for line in lines))

    def whole(self, line: bytes, stream: str = "stdout", tag: str = "F") -> bytes:
        """Return one line in CRI format, with a line break. No two lines have the same time in nanoseconds.

        The tag is `F` for a complete line, or `P` for a part of a line that the container runtime has split.
        """
        now = next(NANOSECONDS)
        second = datetime.fromtimestamp(now // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{second}.{now % 10**9:09d}Z {stream} {tag} ".encode() + line + b"\n"

    def write_raw(self, content: bytes) -> None:
        """Append bytes to the newest file of the log, without a time, a stream or a line break."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            file.write(content)

    def rotate(self, when: str) -> Path:
        """Rotate the log as kubelet does: compress older files and rename the newest file. Return the new path.

        The next line starts a new file.
        """
        for old in self.folder.glob(f"{self.name}.*"):
            if old.suffix != ".gz":
                packed = old.with_name(f"{old.name}.tmp")
                packed.write_bytes(gzip.compress(old.read_bytes()))
                packed.rename(old.with_name(f"{old.name}.gz"))
                old.unlink()
        return self.path.rename(self.folder / f"{self.name}.{when}")


@dataclass
class Shipper:
    """A process that ships logs: the test shipper's program, or a container of an image. Tests start and kill it."""

    folder: Path
    config: Path
    pods: Path
    certificates: Path
    program: Path | None
    image: str | None
    running: subprocess.Popen[bytes] | Container | None = None

    @property
    def arguments(self) -> list[str]:
        """The shipper's command-line arguments, which are those of the DaemonSet."""
        return ["-e", "-c", "/etc/filebeat/filebeat.yml" if self.image else str(self.config)]

    @contextmanager
    def run(self) -> Iterator[Shipper]:
        """Run the shipper until the end of the `with` block. Then kill a shipper that still runs, and print its log."""
        if self.image:
            data = self.folder / "data"
            data.mkdir(exist_ok=True)
            mounts = {
                str(self.config.parent): {"bind": "/etc/filebeat", "mode": "ro"},
                str(self.certificates): {"bind": "/run/secrets/filebeat-tls", "mode": "ro"},
                str(self.pods): {"bind": "/var/log/pods", "mode": "ro"},
                str(data): {"bind": "/usr/share/filebeat/data", "mode": "rw"},
            }
            options: dict[str, Any] = {
                "user": f"{os.getuid()}:0",
                "read_only": True,
                "cap_drop": ["ALL"],
                "network_mode": "host",
            }
            environment = {"NODE_NAME": "node-1"}
            with run_container(
                self.image, *self.arguments, environment=environment, volumes=mounts, **options
            ) as container:
                self.running = container
                yield self
            return
        assert self.program
        log = self.folder / f"shipper-{time.monotonic_ns()}.log"
        with log.open("wb") as file:
            command = [str(self.program), *self.arguments, "--path.data", str(self.folder / "data")]
            self.running = subprocess.Popen(command, env=os.environ | {"NODE_NAME": "node-1"}, stderr=file)
        try:
            yield self
        finally:
            self.running.kill()
            self.running.wait()
            print(log.read_text())  # noqa: T201  (pytest shows it if the test fails)

    def kill(self) -> None:
        """Kill the shipper with SIGKILL, as the kernel does when memory runs out."""
        if isinstance(self.running, Container):
            self.running.docker.kill(signal="SIGKILL")
            self.running.docker.wait()
        else:
            assert self.running
            self.running.send_signal(signal.SIGKILL)
            self.running.wait()
