"""The three calls that a single-user server makes to its hub when it starts, answered for real over HTTP.

For tests and benchmarks of the server alone; a lab is spawned by a real JupyterHub elsewhere.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

TOKEN = "made-up-token"  # noqa: S105


class Handler(BaseHTTPRequestHandler):
    """Answers the version check and takes activity reports; a wrong token is refused."""

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        known = self.headers.get("Authorization") == f"token {TOKEN}" or self.path == "/hub/api"
        body = f'{{"version": "{version("jupyterhub")}"}}'.encode()
        self.send_response(200 if known else 403)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-JupyterHub-Version", version("jupyterhub"))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _answer  # noqa: N815  (named by http.server)

    def log_message(self, *_: object) -> None:
        """Say nothing: the server under test has a log."""


@dataclass(frozen=True)
class HubStub:
    """A running stub.

    Attributes
    ----------
    url
        As a container reaches it, on the engine's bridge, or a process on 127.0.0.1.
    """

    url: str

    def environment(self, user: str, port: int = 8888) -> dict[str, str]:
        """Give the variables that a hub gives to the lab of this user."""
        prefix = f"/user/{user}/"
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
        }

    @staticmethod
    def lab_url(address: str, path: str, user: str = "vera", port: int = 8888) -> str:
        """Give the URL of a page of the lab."""
        return f"http://{address}:{port}/user/{user}/{path}"


@contextmanager
def run_hub_stub(address: str = "172.17.0.1") -> Iterator[HubStub]:
    """Answer until the end of the block, by default on the engine's bridge."""
    server = ThreadingHTTPServer((address, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield HubStub(f"http://{address}:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()
