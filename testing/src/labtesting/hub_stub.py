"""A stub of the hub's API for labs: version, login, activity and announcement.

Tests and benchmarks use the stub to run a lab without a hub. Other tests spawn labs with a real JupyterHub.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

TOKEN = "made-up-token"  # noqa: S105
CLIENT_ID = "jupyterhub-user-"
# The stub has no login page: it logs each browser in as the user of the lab at once.
CODE = "code-of-"
BROWSER_TOKEN = "token-of-"  # noqa: S105


def reported_time(report: dict[str, Any]) -> datetime:
    """Return the time of last activity that a lab's report contains.

    Raises
    ------
    ValueError, KeyError
        Raised if JupyterHub would not accept the report.
    """
    time = datetime.fromisoformat(report["servers"][""]["last_activity"])
    if time.tzinfo is None:
        raise ValueError(f"found a time without a time zone in {report}")
    return time


@dataclass
class AnnouncementStub:
    """The announcement that `GET /hub/api/announcement` returns, and the number of these requests."""

    message: str = ""
    level: str = "info"
    spawning: str = "allowed"
    request_count: int = 0

    def model(self) -> dict[str, Any]:
        """Return the JSON body of the answer to a request for the announcement."""
        return {"message": self.message, "level": self.level, "ends": None, "spawning": self.spawning}


class Server(ThreadingHTTPServer):
    """The HTTP server of the stub, with the received activity reports and the current announcement."""

    reports: list[datetime]
    announced: AnnouncementStub


class Handler(BaseHTTPRequestHandler):
    """The handler of the requests from labs and browsers. It refuses wrong tokens and codes."""

    server: Server

    def _answer(self, status: int, body: dict[str, Any] | None = None, **headers: str) -> None:
        content = json.dumps(body or {}).encode()
        self.send_response(status)
        fixed = {"Content-Type": "application/json", "X-JupyterHub-Version": version("jupyterhub")}
        for name, value in {**fixed, "Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("token ")

    def do_GET(self) -> None:
        """Answer a GET request: for the version, the announcement, a login, or the user of a token."""
        url = urlsplit(self.path)
        if url.path == "/hub/api":
            self._answer(200, {"version": version("jupyterhub")})
        elif url.path == "/hub/api/announcement":
            self.server.announced.request_count += 1
            # Allow requests from any origin. The lab and the stub have different ports, so a browser treats them as
            # different origins.
            self._answer(200, self.server.announced.model(), **{"Access-Control-Allow-Origin": "*"})
        elif url.path == "/hub/api/oauth2/authorize":
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            answer = {"code": CODE + query["client_id"].removeprefix(CLIENT_ID), "state": query["state"]}
            self._answer(302, Location=f"{query['redirect_uri']}?{urlencode(answer)}")
        elif url.path == "/hub/api/user" and self._token().startswith(BROWSER_TOKEN):
            name = self._token().removeprefix(BROWSER_TOKEN)
            scopes = [f"access:servers!server={name}/"]
            self._answer(200, {"kind": "user", "name": name, "admin": False, "groups": [], "scopes": scopes})
        else:
            self._answer(200 if self._token() == TOKEN else 403)

    def do_POST(self) -> None:
        """Answer a POST request: store an activity report, or exchange a code for a token."""
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/hub/api/oauth2/token":
            code = parse_qs(content.decode())["code"][0]
            if code.startswith(CODE):
                token = BROWSER_TOKEN + code.removeprefix(CODE)
                self._answer(200, {"access_token": token, "token_type": "Bearer"})
            else:
                self._answer(400)
        elif self._token() != TOKEN:
            self._answer(403)
        else:
            try:
                self.server.reports.append(reported_time(json.loads(content)))
                self._answer(200)
            except (ValueError, KeyError):
                self._answer(400)

    def log_message(self, *_: object) -> None:
        """Log nothing, because the log of the lab under test is enough."""


@dataclass(frozen=True)
class HubStub:
    """A running stub of the hub.

    Attributes
    ----------
    url
        URL for labs: on the Docker engine's bridge for containers, on 127.0.0.1 for processes.
    reports
        The reported times of last activity, in the order of their arrival.
    announced
        The current announcement.
    """

    url: str
    reports: list[datetime] = field(default_factory=list)
    announced: AnnouncementStub = field(default_factory=AnnouncementStub)

    def environment(self, user: str, port: int = 8888, address: str = "") -> dict[str, str]:
        """Return the environment variables that a hub sets for a user's lab.

        Parameters
        ----------
        user
            Login of the user.
        port
            Port of the lab.
        address
            Address of the lab, which browsers need for the login. Leave it empty if a proxy is in front of both the lab
            and the stub.
        """
        prefix = f"/user/{user}/"
        without_proxy = {
            "JUPYTERHUB_HOST": self.url,
            "JUPYTERHUB_OAUTH_CALLBACK_URL": self.lab_url(address, "oauth_callback", user, port),
        }
        return {
            "HOME": f"/home/{user}",
            "JUPYTERHUB_ACTIVITY_URL": f"{self.url}/hub/api/users/{user}/activity",
            "JUPYTERHUB_API_TOKEN": TOKEN,
            "JUPYTERHUB_API_URL": f"{self.url}/hub/api",
            "JUPYTERHUB_BASE_URL": "/",
            "JUPYTERHUB_CLIENT_ID": f"jupyterhub-user-{user}",
            "JUPYTERHUB_OAUTH_CALLBACK_URL": f"{prefix}oauth_callback",
            "JUPYTERHUB_OAUTH_SCOPES": f'["access:servers!server={user}/"]',
            "JUPYTERHUB_SERVER_NAME": "",
            "JUPYTERHUB_SERVICE_PREFIX": prefix,
            "JUPYTERHUB_SERVICE_URL": f"http://0.0.0.0:{port}{prefix}",
            "JUPYTERHUB_USER": user,
            **(without_proxy if address else {}),
        }

    @staticmethod
    def lab_url(address: str, path: str, user: str = "vera", port: int = 8888) -> str:
        """Return the URL of a page of the lab at this address and port."""
        return f"http://{address}:{port}/user/{user}/{path}"


@contextmanager
def run_hub_stub(address: str = "172.17.0.1") -> Iterator[HubStub]:
    """Run a stub of the hub until the end of the block.

    It listens by default on the address of the Docker engine's bridge.
    """
    server = Server((address, 0), Handler)
    server.reports, server.announced = [], AnnouncementStub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield HubStub(f"http://{address}:{server.server_port}", server.reports, server.announced)
    finally:
        server.shutdown()
        server.server_close()
