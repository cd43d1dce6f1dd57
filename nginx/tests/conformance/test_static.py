"""Tests of JupyterLab's own files, which nginx serves without a request to the lab, and of compression."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import brotli  # type: ignore[import-untyped]
import httpx
import pytest
from labtesting.edge import Edge

from nginx.tests.upstream import Upstream

JUPYTER = Path(sys.prefix) / "share" / "jupyter"
SCRIPT = next((JUPYTER / "lab" / "static").glob("main.*.js"), None) or next(
    (JUPYTER / "lab" / "static").glob("jlab_core.*.js")
)
FONT = next((JUPYTER / "lab" / "static").glob("*.woff2"))
ENTRY = next((JUPYTER / "labextensions" / "@jupyterlab" / "git" / "static").glob("remoteEntry.*.js"))
GIT = f"/user/vera/lab/extensions/@jupyterlab/git/static/{ENTRY.name}"
LAB = f"/user/vera/static/lab/{SCRIPT.name}"


def get(edge: Edge, path: str, encodings: str = "identity") -> httpx.Response:
    """Send a GET request, and return the answer. A compressed body stays compressed."""
    with edge.client() as client, client.stream("GET", path, headers={"Accept-Encoding": encodings}) as answer:
        answer._content = b"".join(answer.iter_raw())
    return answer


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("br;q=1.0, gzip", "br"),
        ("br;q=0, gzip", "gzip"),
        ("GZIP", "gzip"),
        ("brx, gzip;q=0.0", ""),
        ("identity", ""),
    ],
)
@pytest.mark.parametrize(("path", "file"), [(LAB, SCRIPT), (GIT, ENTRY)], ids=["lab", "extension"])
def test_the_best_encoding_is_served(
    edge: Edge, upstream: Upstream, path: str, file: Path, accepted: str, encoding: str
) -> None:
    before = len(upstream.asked)
    answer = get(edge, f"{path}?v=1", accepted)
    decode = {"br": brotli.decompress, "gzip": gzip.decompress, "": bytes}[encoding]
    assert decode(answer.content) == file.read_bytes()
    assert answer.headers.get("Content-Encoding", "") == encoding
    assert answer.headers["Content-Type"] == "text/javascript"
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert len(upstream.asked) == before, "the request reached the lab"


def test_font_is_served_uncompressed(edge: Edge) -> None:
    answer = get(edge, f"/user/vera/static/lab/{FONT.name}", "gzip, br")
    assert answer.content == FONT.read_bytes()
    assert (answer.headers["Content-Type"], answer.headers.get("Content-Encoding")) == ("font/woff2", None)


@pytest.mark.parametrize(
    "path",
    [
        "/user/vera/static/lab/main.0123456789abcdef.js",  # a file of a JupyterLab version that the image lacks
        "/user/vera/static/lab/style.js",  # a file name without a hash
        f"/user/vera/files/static/lab/{SCRIPT.name}",  # a user's own file in the home
        f"/hub/static/lab/{SCRIPT.name}",
        f"/user/vera/proxy/8080/static/lab/{SCRIPT.name}",
    ],
)
def test_unknown_file_is_requested_from_the_upstream(edge: Edge, upstream: Upstream, path: str) -> None:
    assert get(edge, path).content == upstream.body
    assert upstream.asked[-1].path == path
    assert "immutable" not in get(edge, path).headers.get("Cache-Control", "")


@pytest.mark.parametrize(
    "path",
    [
        "/user/vera/static/lab/..%2f..%2f..%2fconf%2fnginx.0123456789abcdef.conf",
        "/user/vera/static/lab/../../../../../conf/x.0123456789abcdef.conf",
        "/user/vera/lab/extensions/../static/..0123456789abcdef.js",
        "/user/vera/lab/extensions/@../../static/x.0123456789abcdef.js",
        "/user/vera/static/lab/%2e%2e/%2e%2e/x.0123456789abcdef.js",
        "/user/vera/static/lab/x.0123456789abcdef.js%00.html",
    ],
)
def test_no_path_leads_out_of_the_folder(edge: Edge, upstream: Upstream, path: str) -> None:
    answer = get(edge, path)
    assert answer.status_code == 400 or answer.content == upstream.body


def test_only_answers_without_secrets_are_compressed(edge: Edge, upstream: Upstream) -> None:
    def encoding(path: str) -> str:
        return str(get(edge, path, "gzip, br").headers.get("Content-Encoding", ""))

    texts = ["lab/api/settings", "lab/api/translations/en", "lab/api/settings/@x/y:z", "static/style/x.css"]
    assert [encoding(f"/user/vera/{path}") for path in texts] == ["gzip"] * len(texts)
    assert encoding("/hub/static/js/home.js") == "gzip"
    # Pages contain an XSRF token, and can contain text from an attacker's URL. If nginx compressed such a page, the
    # attacker could guess the token from the size of the page (BREACH).
    secrets = ["/hub/home", "/user/vera/lab", "/user/vera/api/contents", "/user/vera/lab/api/settingsx"]
    assert [encoding(path) for path in secrets] == [""] * len(secrets)
