"""Tests of the module `labtesting.registry`, with a small image in the format of `docker save`."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from labtesting.registry import Registry, SavedImage, serve_image

LAYERS = [b"a layer", b"another layer"]


def digest(content: bytes) -> str:
    """Return the digest of a blob."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """Run a registry with an image of three layers, two of which are equal."""
    config = json.dumps({"rootfs": {"diff_ids": [digest(layer) for layer in (*LAYERS, LAYERS[0])]}}).encode()
    index = [{"Config": "c.json", "Layers": ["1/layer.tar", "2/layer.tar", "3/layer.tar"]}]
    files = {"c.json": config, "1/layer.tar": LAYERS[0], "2/layer.tar": LAYERS[1]}
    archive = tmp_path / "image.tar"
    with tarfile.open(archive, "w") as tar:
        for name, content in (files | {"manifest.json": json.dumps(index).encode()}).items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("3/layer.tar")
        link.type, link.linkname = tarfile.SYMTYPE, "../1/layer.tar"
        tar.addfile(link)
    with serve_image(SavedImage(archive)) as running:
        yield running


@pytest.fixture
def client(registry: Registry) -> Iterator[httpx.Client]:
    """Create an HTTP client for the registry."""
    with httpx.Client(base_url=f"http://127.0.0.1:{registry.server_address[1]}") as client:
        yield client


def test_each_part_of_an_image_has_its_digest(registry: Registry, client: httpx.Client) -> None:
    assert client.get("/v2/").status_code == 200
    manifest = client.get("/v2/a/lab/manifests/1")
    assert manifest.headers["Docker-Content-Digest"] == digest(manifest.content)
    parts = [manifest.json()["config"], *manifest.json()["layers"]]
    assert [part["digest"] for part in parts[1:]] == [digest(layer) for layer in (*LAYERS, LAYERS[0])]
    for part in parts:
        blob = client.get(f"/v2/a/lab/blobs/{part['digest']}")
        assert digest(blob.content) == part["digest"]
        assert len(blob.content) == part["size"]
        assert client.head(f"/v2/a/lab/blobs/{part['digest']}").headers["Content-Length"] == str(part["size"])
    assert registry.answers == [("a/lab", 200)]


def test_an_image_has_an_id_of_its_own(registry: Registry, tmp_path: Path) -> None:
    ids = {
        json.loads(image.manifest)["config"]["digest"] for image in (registry.image, SavedImage(tmp_path / "image.tar"))
    }
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("status", "code"), [(404, "MANIFEST_UNKNOWN"), (429, "TOOMANYREQUESTS"), (503, "UNAVAILABLE")]
)
def test_a_repository_fails_as_requested(registry: Registry, client: httpx.Client, status: int, code: str) -> None:
    registry.faults["a/lab"] = status
    answer = client.get("/v2/a/lab/manifests/1")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (status, code)
    assert client.get("/v2/another/lab/manifests/1").status_code == 200


def test_a_private_repository_names_its_token_server(registry: Registry, client: httpx.Client) -> None:
    registry.faults["a/lab"] = 401
    challenge = client.head("/v2/a/lab/manifests/1").headers["WWW-Authenticate"]
    realm = challenge.split('"')[1]
    assert realm == str(client.base_url.join("/token"))
    assert client.get(realm).status_code == 401


def test_an_unknown_blob_does_not_exist(client: httpx.Client) -> None:
    assert client.get("/v2/a/lab/blobs/sha256:0").status_code == 404
