"""A client of a hub and a lab without a browser. It logs in, spawns, runs cells and types into terminals."""

from __future__ import annotations

import json
import ssl
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
from websockets.exceptions import InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from labtesting.hub_stub import HubStub

# Number of attempts to open a WebSocket. Each attempt waits up to 10 s, which is the default of the package websockets.
ATTEMPTS = 4
# The escape sequence for bracketed paste, which bash prints with each prompt.
PROMPT = "\x1b[?2004h"


@dataclass(frozen=True)
class HubLogin:
    """The URL of a hub with a single user, and the user's name and password."""

    url: str
    user: str
    password: str


@dataclass
class Output:
    """The output of a cell, and the error if the cell failed."""

    stdout: str = ""
    stderr: str = ""
    error: str = ""


@dataclass
class Kernel:
    """A kernel, with an open WebSocket to the kernel's channels."""

    socket: ClientConnection
    session: str = field(default_factory=lambda: uuid.uuid4().hex)

    def send(self, kind: str, content: dict[str, Any]) -> str:
        """Send a request to the kernel on the shell channel, and return the id of the message."""
        message_id = uuid.uuid4().hex
        header = {
            "msg_id": message_id,
            "session": self.session,
            "username": "test",
            "msg_type": kind,
            "version": "5.4",
            "date": "2026-01-01T00:00:00Z",
        }
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        self.socket.send(json.dumps({**message, "channel": "shell", "buffers": []}))
        return message_id

    def replies(self, message_id: str, timeout: float) -> Iterator[dict[str, Any]]:
        """Yield all messages that answer the request with this id, until the kernel has replied and is idle."""
        deadline = time.monotonic() + timeout
        waiting_for = {"idle", "reply"}
        while waiting_for:
            message = json.loads(self.socket.recv(deadline - time.monotonic()))
            if message["parent_header"].get("msg_id") != message_id:
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                waiting_for.discard("idle")
            elif message["channel"] == "shell":
                waiting_for.discard("reply")
            yield message

    def wait_until_ready(self, timeout: float = 180) -> None:
        """Request the kernel's information and wait for the reply."""
        for _ in self.replies(self.send("kernel_info_request", {}), timeout):
            pass

    def execute(self, code: str, timeout: float = 180) -> Output:
        """Run a cell, and return its output."""
        output = Output()
        request = {"code": code, "silent": False, "store_history": True, "allow_stdin": False}
        for message in self.replies(self.send("execute_request", request), timeout):
            content = message["content"]
            if message["msg_type"] == "stream":
                setattr(output, content["name"], getattr(output, content["name"]) + content["text"])
            elif message["msg_type"] == "error":
                output.error = f"{content['ename']}: {content['evalue']}"
        return output


@dataclass
class Terminal:
    """A terminal of a lab, with an open WebSocket."""

    socket: ClientConnection
    seen: str = ""

    def type(self, line: str) -> None:
        """Type a line into the terminal, and press Enter."""
        self.socket.send(json.dumps(["stdin", line + "\r"]))

    def read_until(self, text: str, timeout: float = 180) -> str:
        """Wait until the terminal prints a text. Return all output since the last call of this method.

        Raises
        ------
        AssertionError
            Raised if the text does not appear within `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while text not in self.seen:
            try:
                kind, *rest = json.loads(self.socket.recv(deadline - time.monotonic()))
            except TimeoutError:
                raise AssertionError(f"no {text!r} in the terminal within {timeout} s:\n{self.seen}") from None
            if kind == "stdout":
                self.seen += rest[0]
        seen, self.seen = self.seen, ""
        return seen


class LabClient:
    """A client with the session of one user. It sends the HTTP requests and opens the WebSockets of a browser.

    Parameters
    ----------
    url
        URL of the hub for browsers.
    user
        Name of the user.
    trust
        TLS context that trusts the hub's certificate, for https.
    """

    def __init__(self, url: str, user: str, trust: ssl.SSLContext | None = None) -> None:
        self.url = url
        self.user = user
        self.trust = trust
        self.http = httpx.Client(base_url=url, follow_redirects=True, timeout=180, verify=trust or True)

    def __enter__(self) -> LabClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    @property
    def base(self) -> str:
        """The path of the user's lab."""
        return f"/user/{self.user}/"

    def _xsrf(self, path: str) -> str:
        return next(
            cookie.value or "" for cookie in self.http.cookies.jar if cookie.name == "_xsrf" and cookie.path == path
        )

    def log_in(self, password: str) -> httpx.Response:
        """Submit the login form, and return the page that follows."""
        self.http.get("/hub/login")
        form = {"username": self.user, "password": password, "_xsrf": self._xsrf("/hub/")}
        return self.http.post("/hub/login", data=form)

    def spawn(self, timeout: float = 180) -> None:
        """Start the lab and wait until it answers.

        Raises
        ------
        AssertionError
            Raised if the hub refuses, or if the lab does not answer within `timeout` seconds.
        """
        started = self.http.get("/hub/spawn")
        assert started.status_code == 200, started.text
        deadline = time.monotonic() + timeout
        while True:
            page = self.http.get(f"{self.base}lab")
            if page.status_code == 200 and page.url.path.startswith(self.base):
                return
            assert time.monotonic() < deadline, f"the lab is not ready after {timeout} s: {page.status_code} {page.url}"
            time.sleep(0.1)

    def open_lab(self) -> None:
        """Open the page of a running lab, to log in at a stub of the hub, which needs no login form."""
        self.http.get(f"{self.base}lab").raise_for_status()

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Send a request to the lab's REST API. `path` is relative to the lab's base URL."""
        response = self.http.request(
            method, self.base + path, headers={"X-XSRFToken": self._xsrf(self.base)}, **arguments
        )
        response.raise_for_status()
        return response

    @contextmanager
    def socket(self, path: str) -> Iterator[ClientConnection]:
        """Open a WebSocket of the lab until the end of the block."""
        cookies = self.http.build_request("GET", self.base).headers["cookie"]
        url = f"{self.url.replace('http', 'ws', 1)}{self.base}{path}"
        # Retry like JupyterLab, because a proxy between the browser and the lab may be restarting.
        for attempts_left in reversed(range(ATTEMPTS)):
            try:
                socket = connect(url, additional_headers={"Cookie": cookies}, max_size=None, ssl=self.trust)
            except (OSError, EOFError, InvalidHandshake):
                if not attempts_left:
                    raise
            else:
                break
        with socket:
            yield socket

    @contextmanager
    def kernel(self, name: str, *, shut_down: bool = True) -> Iterator[Kernel]:
        """Start a kernel and wait until it is ready. Shut the kernel down at the end of the block.

        Pass `shut_down=False` if the lab has already ended at the end of the block.
        """
        kernel_id = self.request("POST", "api/kernels", json={"name": name}).json()["id"]
        try:
            with self.socket(f"api/kernels/{kernel_id}/channels") as socket:
                kernel = Kernel(socket)
                kernel.wait_until_ready()
                yield kernel
        finally:
            if shut_down:
                self.request("DELETE", f"api/kernels/{kernel_id}")

    @contextmanager
    def terminal(self, *, close: bool = True) -> Iterator[Terminal]:
        """Open a terminal, and close it at the end of the block.

        Pass `close=False` if the lab has already ended at the end of the block.
        """
        name = self.request("POST", "api/terminals").json()["name"]
        try:
            with self.socket(f"terminals/websocket/{name}") as socket:
                yield Terminal(socket)
        finally:
            if close:
                self.request("DELETE", f"api/terminals/{name}")


@dataclass(frozen=True)
class SpawnedLab:
    """A running lab with a stub of the hub, and a client that is logged in to the lab."""

    client: LabClient
    hub: HubStub
    process: subprocess.Popen[bytes]

    def last_activity(self) -> datetime:
        """Return the time of last activity from the lab's REST API."""
        return datetime.fromisoformat(self.client.request("GET", "api/status").json()["last_activity"])

    def notices(self) -> list[dict[str, object]]:
        """Return the notices that the lab currently shows."""
        notices: list[dict[str, object]] = self.client.request("GET", "lsstlab/notices").json()
        return notices
