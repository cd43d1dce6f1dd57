"""The real configurable-http-proxy as a process, started with the command of its Deployment."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import yaml

from labtesting.hub_process import free_ports, wait_until

MANIFEST = Path(__file__).parents[3] / "hub" / "kubernetes" / "proxy-deployment.yaml"
FOLDER_IN_IMAGE = "/opt/proxy"
TOKEN = "of-the-proxy"  # noqa: S105


@dataclass(frozen=True)
class RunningProxy:
    """A running proxy.

    Attributes
    ----------
    address
        The `host:port` for browsers.
    routes
        The URL of the routes in the proxy's REST API. Requests need `TOKEN`.
    """

    address: str
    routes: str

    def is_up(self) -> bool:
        """Return whether the proxy answers its probe."""
        try:
            return httpx.get(f"http://{self.address}/_chp_healthz").is_success
        except httpx.TransportError:
            return False


def proxy_command(folder: Path, values: Mapping[str, object]) -> list[str]:
    """Return the command of the Deployment, with the program in this folder and with changed options."""
    container = yaml.safe_load(MANIFEST.read_text())["spec"]["template"]["spec"]["containers"][0]
    program, *arguments = (argument.replace(FOLDER_IN_IMAGE, str(folder)) for argument in container["args"])
    options = dict(argument.removeprefix("--").split("=", 1) for argument in arguments)
    assert values.keys() <= options.keys()
    return [program, *(f"--{name}={value}" for name, value in {**options, **values}.items())]


@contextmanager
def run_proxy(folder: Path, hub: str) -> Iterator[RunningProxy]:
    """Run the proxy until the end of the block.

    Parameters
    ----------
    folder
        The folder that install/proxy created.
    hub
        The `host:port` of the hub. The hub may be unavailable.
    """
    port, api, metrics = free_ports(3)
    values = {"ip": "127.0.0.1", "port": port, "api-ip": "127.0.0.1", "api-port": api}
    values |= {"metrics-ip": "127.0.0.1", "metrics-port": metrics}
    values |= {"default-target": f"http://{hub}", "error-target": f"http://{hub}/hub/error"}
    process = subprocess.Popen(proxy_command(folder, values), env=os.environ | {"CONFIGPROXY_AUTH_TOKEN": TOKEN})
    proxy = RunningProxy(f"127.0.0.1:{port}", f"http://127.0.0.1:{api}/api/routes")
    try:
        wait_until(proxy.is_up, "the proxy answers")
        yield proxy
    finally:
        process.terminate()
        process.wait()
