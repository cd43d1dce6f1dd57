"""Tests of the script `start`, which checks the settings and the certificate before it runs nginx.

A failed check stops the start with one error line, or only logs a warning.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from labtesting.certificates import Authority
from labtesting.edge import NginxError
from labtesting.hub_process import wait_until

from nginx.tests.conftest import RunEdge

UPSTREAM = "127.0.0.1:9"


def refusal(run: RunEdge, folder: Path, **settings: str) -> str:
    with pytest.raises(NginxError) as ended, run(folder, UPSTREAM, settings=settings):
        pass
    output = str(ended.value)
    assert output.count("\n") == 1, output
    return output


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("NGINX_SERVER_NAME", "", "found '', wanted the host name of the site, in lower case"),
        ("NGINX_SERVER_NAME", "a.org; return 200", "found 'a.org; return 200', wanted the host name"),
        ("NGINX_SERVER_NAME", "a.org\n}", "found 'a.org?}', wanted the host name"),
        ("NGINX_UPSTREAM_HOST", "proxy:8000", "found 'proxy:8000', wanted the full host name of the proxy"),
        ("NGINX_UPSTREAM_PORT", "http", "found 'http', wanted a port number"),
        ("NGINX_OTHER_HUBS", "b.org", "found 'b.org', wanted the host name and the proxy of each other hub"),
        ("NGINX_OTHER_HUBS", "b.org=x; return 200", "found 'b.org=x; return 200', wanted the host name and the proxy"),
        ("NGINX_MAX_BODY", "4 GB", "found '4 GB', wanted the largest body of a request"),
        ("NGINX_HSTS_SECONDS", "1y", "found '1y', wanted a number of seconds"),
        ("NGINX_HTTP3", "yes", "found 'yes', wanted on or off"),
        ("NGINX_TLS_CHECK_SECONDS", "often", "found 'often', wanted the number of seconds between two checks"),
        ("NGINX_RESOLVER", "dns.example.org", "found 'dns.example.org', wanted the IP addresses of name servers"),
    ],
)
def test_wrong_setting_stops_the_start(run: RunEdge, tmp_path: Path, name: str, value: str, wanted: str) -> None:
    assert refusal(run, tmp_path / "nginx", **{name: value}).startswith(f"nginx: {name}: {wanted}")


def no_certificate(authority: Authority, tls: Path) -> None:
    authority.write(tls)
    (tls / "tls.crt").unlink()


def no_pem(authority: Authority, tls: Path) -> None:
    authority.write(tls)
    (tls / "tls.crt").write_text("-----BEGIN CERT")


def no_key(authority: Authority, tls: Path) -> None:
    authority.write(tls)
    (tls / "tls.key").write_text("")


def other_key(authority: Authority, tls: Path) -> None:
    authority.write(tls)
    first = (tls / "tls.crt").read_bytes()
    authority.write(tls)
    (tls / "tls.crt").write_bytes(first)


def expired(authority: Authority, tls: Path) -> None:
    authority.write(tls, start=timedelta(days=-90), end=timedelta(hours=-1))


def not_yet(authority: Authority, tls: Path) -> None:
    authority.write(tls, start=timedelta(days=1))


def other_name(authority: Authority, tls: Path) -> None:
    authority.write(tls, "other.example.org")


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (no_certificate, r"tls\.crt: missing or not readable"),
        (no_pem, r"tls\.crt: found no certificate, wanted PEM"),
        (no_key, r"tls\.key: found no private key, wanted PEM"),
        (other_key, r"tls\.key: found another key than that of tls\.crt"),
        (expired, r"tls\.crt: the certificate expired on \w+ +\d+ .* GMT"),
        (not_yet, r"tls\.crt: the certificate is not valid before"),
        (other_name, r"tls\.crt: the certificate is not valid for localhost"),
    ],
)
def test_wrong_certificate_stops_the_start(
    run: RunEdge, tmp_path: Path, make: Callable[[Authority, Path], None], wanted: str
) -> None:
    folder = tmp_path / "nginx"
    folder.mkdir()
    make(Authority(folder), folder / "tls")
    assert re.match(rf"nginx: \S*/{wanted}", refusal(run, folder))


def test_soon_expiring_certificate_is_a_warning(run: RunEdge, tmp_path: Path) -> None:
    folder = tmp_path / "nginx"
    folder.mkdir()
    Authority(folder).write(folder / "tls", end=timedelta(days=13))
    with run(folder, UPSTREAM) as edge:
        (line,) = wait_until(
            lambda: [line for line in edge.lines if line.get("log.level") == "warning"], "the warning is logged"
        )
    assert "tls.crt: the certificate expires on " in line["message"]


def test_successful_start_logs_nothing(run: RunEdge, tmp_path: Path) -> None:
    with run(tmp_path / "nginx", UPSTREAM, settings={"NGINX_HSTS_SECONDS": "0"}) as edge:
        assert edge.log == ""
        with edge.client() as client:
            assert "Strict-Transport-Security" not in client.get("/").headers
