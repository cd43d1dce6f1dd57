"""The hub's requests: PUT /v1/homes/<uid> and /v1/projects/<gid>, each as often as it likes."""

from __future__ import annotations

import errno
import hmac
import json
import logging
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

from labfiles.folders import HOME, PROJECT, BadIdError, Folders, TakenError, parse_id
from labfiles.logs import LoggingServer
from labfiles.settings import SettingsError

logger = logging.getLogger(__name__)

KINDS = {"homes": HOME, "projects": PROJECT}
WANTED = "wanted PUT /v1/homes/<uid> or /v1/projects/<gid>"
# The hub's requests have no body; a small one does no harm.
MAX_BODY = 4096
MAX_DIGITS = len(str(MAX_BODY))
FULL = {errno.ENOSPC, errno.EDQUOT}


class Refused(Exception):
    """The request is answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Server(LoggingServer):
    # One spawn asks for up to 17 folders at once, and many may spawn. A connection that finds no room waits a second.
    request_queue_size = 1024


def serve(host: str, port: int, folders: Folders, read_token: Callable[[], str]) -> LoggingServer:
    """Give a server of the API that listens; `serve_forever` runs it.

    Raises
    ------
    OSError
        The port is taken, or not ours.
    """

    class Handler(_Handler):
        pass

    Handler.folders, Handler.read_token = folders, staticmethod(read_token)
    return _Server((host, port), Handler)


class _Handler(BaseHTTPRequestHandler):
    folders: Folders
    read_token: Callable[[], str]
    protocol_version = "HTTP/1.1"
    timeout = 10
    disable_nagle_algorithm = True

    def do_PUT(self) -> None:
        try:
            self._read_body()
            self._check_token()
            status, answer = self._make()
        except Refused as refused:
            status, answer = refused.status, {"error": str(refused)}
            fields = {"path": self.path[:200], "status": status, "asked_by": self.client_address[0]}
            logger.warning("refused: %s", refused, extra={"fields": fields})
        self._answer(status, answer)

    def _make(self) -> tuple[int, dict[str, object]]:
        version, kind, number = (self.path.split("/") + [""] * 3)[1:4]
        if version != "v1" or kind not in KINDS or self.path.count("/") != 3:
            raise Refused(404, f"found {self.path[:200]!r}, {WANTED}")
        try:
            made = self.folders.make(KINDS[kind], parse_id(number), self.client_address[0])
        except BadIdError as error:
            raise Refused(400, str(error)) from error
        except TakenError as error:
            raise Refused(409, str(error)) from error
        except OSError as error:
            status = 507 if error.errno in FULL else 500
            raise Refused(status, f"/{KINDS[kind].export}/{number}: {error.strerror}") from error
        return 201 if made else 200, {"path": f"/{KINDS[kind].export}/{number}", "made": made}

    def _check_token(self) -> None:
        scheme, _, given = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given:
            raise Refused(401, "found no token, wanted Authorization: Bearer <the hub's token>")
        try:
            wanted = self.read_token()
        except SettingsError as error:
            raise Refused(503, str(error)) from error
        if not hmac.compare_digest(given.strip().encode(), wanted.encode()):
            raise Refused(401, "found another token, wanted the one of the Secret that hub and fileserver share")

    def _read_body(self) -> None:
        length = self.headers.get("Content-Length", "0")
        # int() raises ValueError at more than 4300 digits.
        fits = length.isdecimal() and len(length) <= MAX_DIGITS and int(length) <= MAX_BODY
        if "Transfer-Encoding" in self.headers or not fits:
            self.close_connection = True  # what follows is not read
            raise Refused(413, f"wanted no body, or one of at most {MAX_BODY} bytes and a Content-Length")
        self.rfile.read(int(length))

    def _refuse_method(self) -> None:
        self.close_connection = True
        self._answer(405, {"error": f"found {self.command}, {WANTED}"})

    do_GET = do_HEAD = do_POST = do_DELETE = do_PATCH = _refuse_method  # noqa: N815  (http.server's names)

    def _answer(self, status: int, answer: dict[str, object]) -> None:
        body = json.dumps(answer).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        if status == 405:
            self.send_header("Allow", "PUT")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: what was made and what was refused has its line."""
