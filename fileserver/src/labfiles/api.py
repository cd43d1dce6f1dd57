"""The API for the hub, which creates folders: PUT /v1/homes/<uid> and /v1/projects/<gid>.

Both requests are idempotent.
"""

from __future__ import annotations

import errno
import hmac
import json
import logging
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

from labfiles.folders import HOME, PROJECT, FolderConflictError, FolderService, InvalidIdError, parse_id
from labfiles.settings import SettingsError
from labfiles.shared.logging_server import LoggingHTTPServer

logger = logging.getLogger(__name__)

KINDS = {"homes": HOME, "projects": PROJECT}
WANTED = "wanted PUT /v1/homes/<uid> or /v1/projects/<gid>"
# Maximum size of a request's body. The hub sends no body. A body of up to this size is read and ignored.
MAX_BODY = 4096
MAX_DIGITS = len(str(MAX_BODY))
FULL_ERRORS = {errno.ENOSPC, errno.EDQUOT}


class RequestError(Exception):
    """A refused request. The client receives the HTTP status and the message of this error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Server(LoggingHTTPServer):
    # One spawn requests up to 17 folders at once, and many users may start labs at the same time. So the socket's queue
    # of new connections is large: if it is full, a client repeats its attempt only after a second.
    request_queue_size = 1024


def create_server(host: str, port: int, folders: FolderService, read_token: Callable[[], str]) -> LoggingHTTPServer:
    """Return an HTTP server for the API.

    The server already listens, and answers requests after `serve_forever` is called.

    Raises
    ------
    OSError
        Raised if the address cannot be bound.
    """

    class Handler(_Handler):
        pass

    Handler.folders, Handler.read_token = folders, staticmethod(read_token)
    return _Server((host, port), Handler)


class _Handler(BaseHTTPRequestHandler):
    folders: FolderService
    read_token: Callable[[], str]
    protocol_version = "HTTP/1.1"
    timeout = 10
    disable_nagle_algorithm = True

    def do_PUT(self) -> None:
        try:
            self._read_body()
            self._check_token()
            status, answer = self._create_folder()
        except RequestError as error:
            status, answer = error.status, {"error": str(error)}
            fields = {"path": self.path[:200], "status": status, "asked_by": self.client_address[0]}
            logger.warning("refused: %s", error, extra=fields)
        self._answer(status, answer)

    def _create_folder(self) -> tuple[int, dict[str, object]]:
        version, kind, number = (self.path.split("/") + [""] * 3)[1:4]
        if version != "v1" or kind not in KINDS or self.path.count("/") != 3:
            raise RequestError(404, f"found {self.path[:200]!r}, {WANTED}")
        try:
            created = self.folders.ensure(KINDS[kind], parse_id(number), self.client_address[0])
        except InvalidIdError as error:
            raise RequestError(400, str(error)) from error
        except FolderConflictError as error:
            raise RequestError(409, str(error)) from error
        except OSError as error:
            status = 507 if error.errno in FULL_ERRORS else 500
            raise RequestError(status, f"/{KINDS[kind].export}/{number}: {error.strerror}") from error
        return 201 if created else 200, {"path": f"/{KINDS[kind].export}/{number}", "made": created}

    def _check_token(self) -> None:
        scheme, _, sent = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not sent:
            raise RequestError(401, "found no token, wanted Authorization: Bearer <the hub's token>")
        try:
            token = self.read_token()
        except SettingsError as error:
            raise RequestError(503, str(error)) from error
        if not hmac.compare_digest(sent.strip().encode(), token.encode()):
            raise RequestError(401, "wrong token: the hub and the fileserver must have the same FILESERVER_TOKEN")

    def _read_body(self) -> None:
        length = self.headers.get("Content-Length", "0")
        # Check the number of digits first, because int() raises a ValueError for more than 4300 digits.
        fits = length.isdecimal() and len(length) <= MAX_DIGITS and int(length) <= MAX_BODY
        if "Transfer-Encoding" in self.headers or not fits:
            self.close_connection = True  # the unread body would be parsed as the next request
            raise RequestError(413, f"wanted no body, or a Content-Length of at most {MAX_BODY} bytes")
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
        """Log nothing here. Other code logs created folders and refused requests."""
