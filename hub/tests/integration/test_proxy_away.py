"""Test of a hub that starts while its proxy is unavailable."""

from __future__ import annotations

import os
import secrets
import subprocess
from pathlib import Path

import httpx
from labtesting.hub_process import free_ports, run_hub, wait_until

from hub.tests.integration.conftest import CONFIG, PLACE, login_settings, make_proxy
from hub.tests.integration.test_announcement import KUBECONFIG, PROGRAM, WHOLE

APART = """
from labhub.infra.proxy import LabProxy
c.JupyterHub.proxy_class = LabProxy
c.LabProxy.should_start = False
c.LabProxy.auth_token = {token!r}
"""


def test_hub_starts_before_its_proxy(tmp_path: Path) -> None:
    port, hub_port, proxy_port, metrics_port = free_ports(4)
    url, hub_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{hub_port}"
    token, proxy = secrets.token_hex(16), make_proxy()
    place = PLACE.format(
        url=url, hub_port=hub_port, proxy_port=proxy_port, proxy=proxy, home="", singleuser="none", token=token
    )
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    environment = login_settings("http://127.0.0.1:1", f"{url}/hub/oauth_callback")
    environment |= {"JUPYTERHUB_CRYPT_KEY": secrets.token_hex(32), "KUBECONFIG": str(tmp_path / "kubeconfig")}
    config = CONFIG + place + WHOLE % metrics_port + APART.format(token=token)
    with run_hub(config, environment, tmp_path, token, hub_url, PROGRAM) as hub:
        refused = "api_request to the proxy failed with connection error"
        wait_until(lambda: refused in hub.log, "the hub reports that the proxy does not answer")
        api = [f"--api-port={proxy_port}", "--api-ip=127.0.0.1"]
        running = subprocess.Popen(
            [*proxy, f"--port={port}", "--ip=127.0.0.1", *api], env=os.environ | {"CONFIGPROXY_AUTH_TOKEN": token}
        )
        try:
            wait_until(lambda: is_available(f"{url}/hub/health"), "the hub answers through the proxy")
            assert hub.process.poll() is None
        finally:
            running.terminate()
            running.wait()
        assert "Traceback" not in hub.log


def is_available(url: str) -> bool:
    """Return whether a page has status 200."""
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False
