"""A RabbitMQ broker from Debian's package, with separate ports and folders. It does not use the system's service.

`python -m labtesting.rabbitmq FOLDER` runs a broker until a signal arrives, and prints its port and login in one line.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

INSTALL_HINT = "apt install rabbitmq-server (the tests do not need its service: you can stop it)"
START_SECONDS = 180


class RabbitMQError(Exception):
    """The error if RabbitMQ is not installed, does not start, or refuses a command."""


@dataclass(frozen=True)
class Tls:
    """Paths of the broker's certificate, of the broker's key, and of the authority's certificate for clients."""

    cert: Path
    key: Path
    ca: Path


def programs() -> Path:
    """Return the folder of RabbitMQ's own scripts, because Debian's scripts on the PATH would change the user.

    Raises
    ------
    RabbitMQError
        Raised if RabbitMQ is not installed.
    """
    folders = [Path("/usr/lib/rabbitmq/bin")]
    if server := shutil.which("rabbitmq-server"):
        folders.append(Path(server).resolve().parent)
    for folder in folders:
        if (folder / "rabbitmq-server").exists() and shutil.which("epmd"):
            return folder
    raise RabbitMQError(f"RabbitMQ is missing: {INSTALL_HINT}")


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 on which no process listens."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


class RabbitMQ:
    """A RabbitMQ broker that a test starts and stops.

    Parameters
    ----------
    folder
        Folder for the broker's data and log. The data remains after a restart.
    tls
        Files for TLS. If they are given, the broker also listens with TLS, on `tls_port`.
    host
        Address to listen on.

    Raises
    ------
    RabbitMQError
        Raised if RabbitMQ is not installed.
    """

    user = "relay"
    password = "relay-password"  # noqa: S105  (only this machine can connect to the broker)

    def __init__(self, folder: Path, tls: Tls | None = None, host: str = "127.0.0.1") -> None:
        self.host = host
        self._programs = programs()
        self._folder = folder
        self.port, self.tls_port, self._distribution_port, self._epmd_port = free_ports(4)
        self.log = folder / "rabbitmq.log"
        self._running: list[subprocess.Popen[bytes]] = []
        folder.mkdir(parents=True, exist_ok=True)
        self._write_configuration(tls)
        self._environ = os.environ | {
            "HOME": str(folder),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_NODENAME": f"relay{self._distribution_port}@localhost",
        }

    def _write_configuration(self, tls: Tls | None) -> None:
        lines = [
            f"listeners.tcp.1 = {self.host}:{self.port}",
            f"default_user = {self.user}",
            f"default_pass = {self.password}",
            "log.file = false",
            "log.console = true",
        ]
        if tls:
            lines += [
                f"listeners.ssl.1 = {self.host}:{self.tls_port}",
                f"ssl_options.certfile = {tls.cert}",
                f"ssl_options.keyfile = {tls.key}",
                f"ssl_options.cacertfile = {tls.ca}",
                "ssl_options.verify = verify_peer",
                "ssl_options.fail_if_no_peer_cert = false",
            ]
        (self._folder / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
        (self._folder / "plugins").write_text("[].\n")

    def __enter__(self) -> RabbitMQ:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start the broker, and wait until it is ready.

        Raises
        ------
        RabbitMQError
            Raised if the broker ends, or is not ready in time. The message has the end of the broker's log.
        """
        self._run(["epmd"])
        server = self._run([str(self._programs / "rabbitmq-server")])
        deadline = time.monotonic() + START_SECONDS
        while b"Server startup complete" not in self.log.read_bytes():
            if server.poll() is not None or time.monotonic() > deadline:
                raise RabbitMQError("RabbitMQ does not start:\n" + self.log.read_text(errors="replace")[-2000:])
            time.sleep(0.05)

    def _run(self, command: list[str]) -> subprocess.Popen[bytes]:
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=self._folder,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._running.append(process)
        return process

    def kill(self) -> None:
        """Kill the broker without a shutdown, as a power failure does."""
        for process in reversed(self._running):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._running.clear()

    def control(self, *arguments: str) -> str:
        """Run rabbitmqctl, and return its output.

        Raises
        ------
        RabbitMQError
            Raised if the command fails.
        """
        done = subprocess.run(
            [self._programs / "rabbitmqctl", "--quiet", *arguments],
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        if done.returncode:
            raise RabbitMQError(f"rabbitmqctl {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def evaluate(self, expression: str) -> str:
        """Evaluate an Erlang expression in the broker, and return the result. This is much faster than `control`.

        Raises
        ------
        RabbitMQError
            Raised if the expression fails.
        """
        done = subprocess.run(
            ["erl_call", "-r", "-e", "-timeout", "60", "-address", f"localhost:{self._distribution_port}"],
            input=f"{expression}.\n",
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if not done.stdout.startswith("{ok, "):
            raise RabbitMQError(f"{expression}: {done.stdout}{done.stderr}")
        return done.stdout.removeprefix("{ok, ").removesuffix("}")


def main() -> None:
    """Run a broker with its data in the folder of the command line, until SIGTERM, SIGINT or SIGHUP."""
    ending = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
    signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    try:
        with RabbitMQ(Path(sys.argv[1])) as broker:
            print(f"AMQP_PORT={broker.port} AMQP_USER={broker.user} AMQP_PASSWORD={broker.password}", flush=True)  # noqa: T201
            signal.sigwait(ending)
    except RabbitMQError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
