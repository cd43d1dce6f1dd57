"""What a lab and its page ask of the hub, answered for real over HTTP: version, login, activity, announcement.

For tests and benchmarks of the server alone; a lab is spawned by a real JupyterHub elsewhere.
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
# Whoever comes to the login is the lab's user at once: there is no page to fill in.
CODE = "code-of-"
BROWSER_TOKEN = "token-of-"  # noqa: S105


def reported_time(report: dict[str, Any]) -> datetime:
    """Give the time of a report of activity, which names it for the one server of the user.

    Raises
    ------
    ValueError, KeyError
        It is not as JupyterHub takes it.
    """
    moment = datetime.fromisoformat(report["servers"][""]["last_activity"])
    if moment.tzinfo is None:
        raise ValueError(f"a time without its zone: {report}")
    return moment


@dataclass
class AnnouncementStub:
    """What the hub announces, as `GET /hub/api/announcement` gives it, and how often that was asked."""

    message: str = ""
    level: str = "info"
    spawning: str = "allowed"
    request_count: int = 0

    def model(self) -> dict[str, Any]:
        """Give the answer."""
        return {"message": self.message, "level": self.level, "ends": None, "spawning": self.spawning}


class Server(ThreadingHTTPServer):
    """The server, with what it was told."""

    reports: list[datetime]
    announced: AnnouncementStub


class Handler(BaseHTTPRequestHandler):
    """Answers the version check, the login and activity reports; a wrong token or code is refused."""

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
        """Answer the version check, send a browser back with a code, tell whose a token is."""
        url = urlsplit(self.path)
        if url.path == "/hub/api":
            self._answer(200, {"version": version("jupyterhub")})
        elif url.path == "/hub/api/announcement":
            self.server.announced.request_count += 1
            # Lab and stub stand at two ports, which for a browser are two sites.
            self._answer(200, self.server.announced.model(), **{"Access-Control-Allow-Origin": "*"})
        elif url.path == "/hub/api/oauth2/authorize":
            asked = {name: values[0] for name, values in parse_qs(url.query).items()}
            back = {"code": CODE + asked["client_id"].removeprefix(CLIENT_ID), "state": asked["state"]}
            self._answer(302, Location=f"{asked['redirect_uri']}?{urlencode(back)}")
        elif url.path == "/hub/api/user" and self._token().startswith(BROWSER_TOKEN):
            name = self._token().removeprefix(BROWSER_TOKEN)
            scopes = [f"access:servers!server={name}/"]
            self._answer(200, {"kind": "user", "name": name, "admin": False, "groups": [], "scopes": scopes})
        else:
            self._answer(200 if self._token() == TOKEN else 403)

    def do_POST(self) -> None:
        """Take a report of activity, or give a token for a code."""
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
        """Say nothing: the server under test has a log."""


@dataclass(frozen=True)
class HubStub:
    """A running stub.

    Attributes
    ----------
    url
        As a container reaches it, on the engine's bridge, or a process on 127.0.0.1.
    reports
        The times of last activity that labs have reported, in the order in which they did.
    announced
        What it announces.
    """

    url: str
    reports: list[datetime] = field(default_factory=list)
    announced: AnnouncementStub = field(default_factory=AnnouncementStub)

    def environment(self, user: str, port: int = 8888, address: str = "") -> dict[str, str]:
        """Give the variables that a hub gives to the lab of this user.

        Where lab and hub do not stand behind one proxy, a browser logs in only if the lab's address is given.
        """
        prefix = f"/user/{user}/"
        apart = {
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
            **(apart if address else {}),
        }

    @staticmethod
    def lab_url(address: str, path: str, user: str = "vera", port: int = 8888) -> str:
        """Give the URL of a page of the lab."""
        return f"http://{address}:{port}/user/{user}/{path}"


@contextmanager
def run_hub_stub(address: str = "172.17.0.1") -> Iterator[HubStub]:
    """Answer until the end of the block, by default on the engine's bridge."""
    server = Server((address, 0), Handler)
    server.reports, server.announced = [], AnnouncementStub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield HubStub(f"http://{address}:{server.server_port}", server.reports, server.announced)
    finally:
        server.shutdown()
        server.server_close()
