"""A container registry over plain HTTP. It serves one image of the Docker engine, and a test can make it fail."""

from __future__ import annotations

import hashlib
import json
import os.path
import secrets
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import IO, Any

import docker

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar"
# Error codes of https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes
ERROR_CODES = {401: "UNAUTHORIZED", 403: "DENIED", 404: "MANIFEST_UNKNOWN", 429: "TOOMANYREQUESTS", 503: "UNAVAILABLE"}


@dataclass(frozen=True)
class Blob:
    """A blob of an image: a part of the file that contains the image's archive."""

    start: int
    size: int


class SavedImage:
    """An image in an archive of `docker save`, with the layers as the engine stores them and with an ID of its own.

    A test pulls the copy in the archive under another name than that of the engine's image. kubelet allows a pulled
    image only under the name of its pull, or after a new pull (`imagePullCredentialsVerificationPolicy`). If both
    images had the same ID, kubelet would later refuse the engine's image on the same node.

    Parameters
    ----------
    archive
        Path of the archive.
    """

    def __init__(self, archive: Path) -> None:
        self.archive = archive
        with tarfile.open(archive) as tar:
            index = json.load(_open(tar, "manifest.json"))[0]
            config = _open(tar, index["Config"]).read()
            members = [_resolve(tar, name) for name in index["Layers"]]
        config = json.dumps(json.loads(config) | {"author": secrets.token_hex(16)}).encode()
        digests = [_digest(config), *json.loads(config)["rootfs"]["diff_ids"]]
        blobs = [_append(archive, config), *(Blob(member.offset_data, member.size) for member in members)]
        self.blobs = dict(zip(digests, blobs, strict=True))
        types = [CONFIG_TYPE] + [LAYER_TYPE] * len(index["Layers"])
        parts = [
            {"mediaType": kind, "size": blob.size, "digest": digest}
            for kind, blob, digest in zip(types, blobs, digests, strict=True)
        ]
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": parts[0], "layers": parts[1:]}
        self.manifest = json.dumps(manifest).encode()


def _append(archive: Path, content: bytes) -> Blob:
    """Append a blob to an archive."""
    start = archive.stat().st_size
    with archive.open("ab") as file:
        file.write(content)
    return Blob(start, len(content))


def _resolve(tar: tarfile.TarFile, name: str) -> tarfile.TarInfo:
    """Return the archive's member for a path.

    `docker save` stores equal layers once, and links the other paths to the first.
    """
    member = tar.getmember(name)
    while member.issym():
        member = tar.getmember(os.path.normpath(Path(member.name).parent / member.linkname))
    return member


def _open(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    file = tar.extractfile(name)
    assert file is not None, f"{name} is missing in the archive"
    return file


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Registry(ThreadingHTTPServer):
    """A registry that serves the same image for each repository name.

    Parameters
    ----------
    host
        Address to listen on. The operating system chooses the port.
    image
        The image.

    Attributes
    ----------
    faults
        HTTP status with which requests for a repository fail, by the name of the repository.
    answers
        Repository and HTTP status of each answer to a request for a manifest.
    """

    daemon_threads = True

    def __init__(self, host: str, image: SavedImage) -> None:
        super().__init__((host, 0), _Handler)
        self.image = image
        self.faults: dict[str, int] = {}
        self.answers: list[tuple[str, int]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Registry
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer a GET request of the registry's API."""
        repository, is_manifest, _ = self.path.removeprefix("/v2/").partition("/manifests/")
        if self.path == "/v2/":
            self._answer(200, b"{}")
        elif self.path.startswith("/token"):
            self._refuse(401)
        elif is_manifest:
            status = self.server.faults.get(repository, 200)
            self.server.answers.append((repository, status))
            if status == 200:
                self._answer(200, self.server.image.manifest, MANIFEST_TYPE)
            else:
                self._refuse(status)
        else:
            self._send_blob(self.path.rpartition("/blobs/")[2])

    def do_HEAD(self) -> None:
        """Answer a HEAD request: the same answer as for GET, without the body."""
        self.do_GET()

    def _send_blob(self, digest: str) -> None:
        image = self.server.image
        blob = image.blobs.get(digest)
        if blob is None:
            self._refuse(404)
            return
        self._send_headers(200, "application/octet-stream", blob.size, digest)
        if self.command == "HEAD":
            return
        with image.archive.open("rb") as file:
            file.seek(blob.start)
            left = blob.size
            while left:
                chunk = file.read(min(left, 1024**2))
                self.wfile.write(chunk)
                left -= len(chunk)

    def _refuse(self, status: int) -> None:
        error = {"code": ERROR_CODES.get(status, "UNKNOWN"), "message": "a made-up failure"}
        self._answer(status, json.dumps({"errors": [error]}).encode())

    def _answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self._send_headers(status, kind, len(body), _digest(body))
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_headers(self, status: int, kind: str, size: int, digest: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(size))
        self.send_header("Docker-Content-Digest", digest)
        if status == 401:
            self.send_header("WWW-Authenticate", f'Bearer realm="http://{self.headers["Host"]}/token",service="test"')
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Log nothing, because `Registry.answers` records the requests."""


@contextmanager
def run_registry(image: str, folder: Path, host: str = "127.0.0.1") -> Iterator[Registry]:
    """Run a registry with an image of the Docker engine until the end of the block.

    Parameters
    ----------
    image
        Name of the image.
    folder
        Folder for the archive of the image.
    host
        Address to listen on.
    """
    archive = folder / "image.tar"
    with archive.open("wb") as file:
        for chunk in docker.from_env().images.get(image).save():
            file.write(chunk)
    with serve_image(SavedImage(archive), host) as registry:
        yield registry
    archive.unlink()


@contextmanager
def serve_image(image: SavedImage, host: str = "127.0.0.1") -> Iterator[Registry]:
    """Run a registry with a saved image until the end of the block."""
    with Registry(host, image) as registry:
        Thread(target=registry.serve_forever, daemon=True).start()
        try:
            yield registry
        finally:
            registry.shutdown()
