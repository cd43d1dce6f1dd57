"""A person at a lab, without a browser: logs in, spawns, runs cells and types into terminals."""

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

# bash tells the terminal that it takes pasted text as such: it waits for input.
ATTEMPTS = 4  # of ten seconds each
PROMPT = "\x1b[?2004h"


@dataclass(frozen=True)
class HubLogin:
    """A hub with one user, and how to log in."""

    url: str
    user: str
    password: str


@dataclass
class Output:
    """What a cell gave: what it printed, and its error if it failed."""

    stdout: str = ""
    stderr: str = ""
    error: str = ""


@dataclass
class Kernel:
    """An open connection to a kernel's channels."""

    socket: ClientConnection
    session: str = field(default_factory=lambda: uuid.uuid4().hex)

    def send(self, kind: str, content: dict[str, Any]) -> str:
        """Send a request on the shell channel; give its id."""
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
        """Give the messages that answer a request, until the kernel is idle again and has replied."""
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

    def wait_until_ready(self, timeout: float = 60) -> None:
        """Ask for the kernel's information until it is there."""
        for _ in self.replies(self.send("kernel_info_request", {}), timeout):
            pass

    def execute(self, code: str, timeout: float = 60) -> Output:
        """Run a cell."""
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
    """An open connection to a terminal."""

    socket: ClientConnection
    seen: str = ""

    def type(self, line: str) -> None:
        """Type a line and Enter."""
        self.socket.send(json.dumps(["stdin", line + "\r"]))

    def read_until(self, text: str, timeout: float = 60) -> str:
        """Read what the terminal shows until it shows the text; give all of it since the last call."""
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
    """A browser's session with a hub, over plain HTTP and WebSockets.

    Parameters
    ----------
    url
        The hub's, as a browser reaches it.
    user
        The one to log in as.
    trust
        What trusts the hub's certificate, if it has one.
    """

    def __init__(self, url: str, user: str, trust: ssl.SSLContext | None = None) -> None:
        self.url = url
        self.user = user
        self.trust = trust
        self.http = httpx.Client(base_url=url, follow_redirects=True, timeout=60, verify=trust or True)

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
        """Fill in the login form and send it; give the page that follows."""
        self.http.get("/hub/login")
        form = {"username": self.user, "password": password, "_xsrf": self._xsrf("/hub/")}
        return self.http.post("/hub/login", data=form)

    def spawn(self, timeout: float = 60) -> None:
        """Start the lab and wait until it answers.

        Raises
        ------
        AssertionError
            The hub refuses, or the lab does not answer in time.
        """
        started = self.http.get("/hub/spawn")
        assert started.status_code == 200, started.text
        deadline = time.monotonic() + timeout
        while True:
            page = self.http.get(f"{self.base}lab")
            if page.status_code == 200 and page.url.path.startswith(self.base):
                return
            assert time.monotonic() < deadline, f"no lab within {timeout} s: {page.status_code} {page.url}"
            time.sleep(0.1)

    def open_lab(self) -> None:
        """Open the page of a lab that runs: the hub lets a browser in that comes by itself."""
        self.http.get(f"{self.base}lab").raise_for_status()

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Call the lab's REST API; the path is below the lab's."""
        response = self.http.request(
            method, self.base + path, headers={"X-XSRFToken": self._xsrf(self.base)}, **arguments
        )
        response.raise_for_status()
        return response

    @contextmanager
    def socket(self, path: str) -> Iterator[ClientConnection]:
        """Open a WebSocket of the lab."""
        cookies = self.http.build_request("GET", self.base).headers["cookie"]
        url = f"{self.url.replace('http', 'ws', 1)}{self.base}{path}"
        # As JupyterLab does: what stands between may just be being replaced.
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
        """Start a kernel, ready for a cell; it is shut down at the end, unless the lab is gone by then."""
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
    def terminal(self) -> Iterator[Terminal]:
        """Open a terminal; it is closed at the end."""
        name = self.request("POST", "api/terminals").json()["name"]
        try:
            with self.socket(f"terminals/websocket/{name}") as socket:
                yield Terminal(socket)
        finally:
            self.request("DELETE", f"api/terminals/{name}")


@dataclass(frozen=True)
class SpawnedLab:
    """A lab that a hub has spawned, and what the hub has heard from it."""

    client: LabClient
    hub: HubStub
    process: subprocess.Popen[bytes]

    def last_activity(self) -> datetime:
        """Give when it says that it was last used."""
        return datetime.fromisoformat(self.client.request("GET", "api/status").json()["last_activity"])

    def notices(self) -> list[dict[str, object]]:
        """Give what it has to tell its user."""
        notices: list[dict[str, object]] = self.client.request("GET", "lsstlab/notices").json()
        return notices
