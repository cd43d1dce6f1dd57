"""Tests of the programs that the doctor runs in pods. The tests run the programs against real servers."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from labadmin.doctor import front_page, probe_pod
from labadmin.doctor.findings import Status
from labtesting.certificates import Authority
from labtesting.github import run_fake_github

from admin.tests.doctor.site import Site, answer

CALLBACK = "https://lab.example.org/hub/oauth_callback"
METRICS = """# HELP labhub_labs Pods of labs
labhub_labs{state="running"} 3.0
labhub_labs{state="created"} 1.0
labhub_labs_other 7.0
labhub_watch_age_seconds{kind="pods"} 2.0
labhub_watch_age_seconds{kind="events"} 150.0
labfiles_nfs_up 0.0
labfiles_storage_bytes 100.0
"""


def run(name: str, *arguments: str, **environ: str) -> dict[str, Any]:
    """Run a program as in a pod: from its source, with the standard library only."""
    command = [sys.executable, "-I", "-c", probe_pod.read_program(name), *arguments]
    done = subprocess.run(command, env=os.environ | environ, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextmanager
def serve(status: int, body: str, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Run a server that returns the same answer to every request, and yield its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        do_PUT = do_GET  # noqa: N815  (http.server's name)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def closed_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({}, "bad_verification_code"),
        ({"GITHUB_CLIENT_SECRET": "an old one"}, "incorrect_client_credentials"),
        ({"GITHUB_CLIENT_ID": "another app"}, "incorrect_client_credentials"),
        ({"OAUTH_CALLBACK_URL": "https://old.example.org/hub/oauth_callback"}, "redirect_uri_mismatch"),
    ],
)
def test_github_error_about_the_app_is_returned(changes: dict[str, str], error: str, tmp_path: Path) -> None:
    with run_fake_github(CALLBACK) as github:
        secret = tmp_path / "secret"
        secret.write_text(changes.get("GITHUB_CLIENT_SECRET", github.world.app.client_secret) + "\n")
        settings = {
            "GITHUB_URL": github.url,
            "GITHUB_CLIENT_ID": github.world.app.client_id,
            "OAUTH_CALLBACK_URL": CALLBACK,
            "GITHUB_CLIENT_SECRET_FILE": str(secret),
        }
        settings |= {key: value for key, value in changes.items() if key in settings}
        github.world.add_organization("lsst-sqre")
        allowed = "lsst-sqre:staff, gone,lsst-sqre"
        found = run("github", **settings, GITHUB_ORGANIZATION_WHITELIST=allowed)
        by_second_name = run("github", **settings, GITHUB_ALLOWED_ORGANIZATIONS=allowed)
    assert found["unknown"] == by_second_name["unknown"] == ["gone"]
    assert (found["token"]["status"], found["token"]["error"]) == (200, error)
    # The API answers 401, because it requires a token.
    assert found["api"]["status"] == 401
    assert secret.read_text().strip() not in json.dumps(found)


def test_unreachable_github_is_reported() -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    found = run("github", GITHUB_URL=url, GITHUB_CLIENT_ID="x", GITHUB_CLIENT_SECRET="x", OAUTH_CALLBACK_URL=CALLBACK)
    assert found["token"]["status"] == 0
    assert "refused" in found["token"]["error"]


def test_lab_probe_reports_reachable_targets() -> None:
    with serve(200, "") as port:
        wanted = {
            "names": [["localhost", "localhost"], ["nowhere.invalid", "nowhere.invalid"]],
            "open": [["here", "127.0.0.1", str(port)], ["nothing", "127.0.0.1", str(closed_port())]],
            "shut": [["here, too", "$HERE", str(port)], ["closed", "127.0.0.1", str(closed_port())]],
        }
        found = run("lab", json.dumps(wanted), "0.2", HERE="127.0.0.1")
    assert found["names"].pop("localhost") == ""
    assert found["names"]["nowhere.invalid"]
    assert found["open"]["here"] == found["shut"]["here, too"] == ""
    assert "refused" in found["open"]["nothing"]
    assert "refused" in found["shut"]["closed"]


def test_lab_probe_repeats_an_early_result() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def close_after_the_first() -> None:
            server.accept()[0].close()
            server.close()

        threading.Thread(target=close_after_the_first, daemon=True).start()
        found = run("lab", json.dumps({"names": [], "open": [], "shut": [["it", "127.0.0.1", str(port)]]}), "20")
    assert "refused" in found["shut"]["it"]


def test_lab_probe_repeats_results_older_than_the_policies() -> None:
    with socket.create_server(("127.0.0.1", 0)) as private, socket.create_server(("127.0.0.1", 0)) as needed:
        rows = {"shut": private.getsockname()[1], "open": needed.getsockname()[1]}

        def close_after_the_first() -> None:
            for server in (private, needed):
                server.accept()[0].close()
            private.close()
            needed.close()

        threading.Thread(target=close_after_the_first, daemon=True).start()
        wanted = {kind: [["it", "127.0.0.1", str(port)]] for kind, port in rows.items()}
        found = run("lab", json.dumps(wanted | {"names": []}), "2")
    assert "refused" in found["shut"]["it"]
    assert "refused" in found["open"]["it"]


def test_hub_probe_reports_health_and_metrics() -> None:
    with serve(200, METRICS) as port:
        url = f"http://127.0.0.1:{port}"
        found = run("hub", url, url)
        assert found["labs"] == {'state="running"': 3.0, 'state="created"': 1.0}
        assert (found["health"], found["watch_age"]) == (200, 150.0)
        assert found["metrics"] == ""
        assert run("hub", f"http://127.0.0.1:{closed_port()}", url)["health"] == 0
    with serve(503, "") as port:
        url = f"http://127.0.0.1:{port}"
        assert (run("hub", url, url)["health"], run("hub", url, url)["said"]) == (503, "Service Unavailable")


def test_failing_metrics_of_the_hub_are_explained(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with serve(200, "") as port, serve(500, METRICS) as broken:
        url = f"http://127.0.0.1:{port}"
        for metrics, reason in (
            (broken, "500 Internal Server Error"),
            (closed_port(), "refused"),
            (port, "it is missing"),
        ):
            site.answers["hub"] = answer(run("hub", url, f"http://127.0.0.1:{metrics}"))
            assert reason in site.messages("hub", Status.FAILED)


def test_fileserver_receives_the_token_of_the_hub() -> None:
    with serve(401, "") as port:
        url = f"http://127.0.0.1:{port}"
        found = run("hub", url, url, FILESERVER_URL=url, FILESERVER_TOKEN="a-token")
    assert found["fileserver"] == [401, "Unauthorized"]
    assert "a-token" not in json.dumps(found)


def test_storage_probe_returns_the_metrics() -> None:
    with serve(200, METRICS) as port:
        found = run("storage", f"http://127.0.0.1:{port}/metrics")
    assert found == {"labfiles_nfs_up": 0.0, "labfiles_storage_bytes": 100.0}


def test_front_page_is_requested_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    authority.write(tmp_path / "tls", "localhost")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "tls/tls.crt", tmp_path / "tls/tls.key")
    with serve(200, "", tls) as port:
        assert front_page.request_health("localhost", port, "localhost")["status"] == 200
        assert "local issuer" in str(front_page.request_health("localhost", port, "localhost")["untrusted"])
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
        assert front_page.request_health("localhost", port, "localhost") == {"status": 200}
        assert "mismatch" in str(front_page.request_health("localhost", port, "lab.example.org")["untrusted"])
    assert "refused" in str(front_page.request_health("localhost", closed_port(), "localhost")["error"])


def test_the_services_address_is_tried_after_the_name(tmp_path: Path) -> None:
    site = Site(tmp_path)
    service = site.find("Service", "nginx")
    service["status"] = {"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}}
    name = f"localhost:{closed_port()}"
    site.find("ConfigMap", "hub")["data"]["OAUTH_CALLBACK_URL"] = f"https://{name}/hub/oauth_callback"
    found = front_page.request_front_page(site.state().callback, site.state().objects).read()
    assert list(found) == ["localhost", "127.0.0.1"]
    site.answers["front"] = answer(found)
    assert "this machine cannot reach" in site.messages("page", Status.WARNING)
