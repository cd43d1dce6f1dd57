"""Tests of the hub's image: the contents, the user, and the start of the hub and of the proxy."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from labtesting.container import engine, run_container
from labtesting.hub_process import wait_until

# Docker's options for the restrictions that the hub's manifests set for the hub's container
STRICT: dict[str, Any] = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges"]}
CHP = ["/opt/proxy/node", "/opt/proxy/node_modules/configurable-http-proxy/bin/configurable-http-proxy"]


@pytest.fixture(scope="module")
def image(request: pytest.FixtureRequest) -> str:
    """Return the name of the image under test."""
    name: str = request.config.getoption("--image")
    return name


def test_image_runs_as_a_numeric_user(image: str) -> None:
    assert engine().images.get(image).attrs["Config"]["User"] == "10001:10001"


def test_missing_setting_stops_the_start_with_one_line(image: str) -> None:
    with run_container(image, **STRICT) as container:
        assert container.docker.wait(timeout=180)["StatusCode"] == 1
        assert container.log().splitlines() == [
            "labhub: JUPYTERHUB_CRYPT_KEY: missing, wanted 32 random bytes as 64 hexadecimal digits "
            "(openssl rand -hex 32); older keys after a semicolon"
        ]


def test_image_also_runs_the_proxy(image: str) -> None:
    environment = {"CONFIGPROXY_AUTH_TOKEN": "made-up", "FILESERVER_TOKEN": "made-up-for-this-test"}
    with run_container(image, *CHP, "--ip=0.0.0.0", ports=[8000], environment=environment, **STRICT) as container:
        container.wait_for_page(f"http://127.0.0.1:{container.port(8000)}/_chp_healthz")
        url = f"http://127.0.0.1:{container.port(8000)}/"
        wait_until(lambda: httpx.get(url).status_code == 404, "the proxy answers 404 without routes")
        container.docker.stop(timeout=5)
        assert container.docker.wait()["StatusCode"] == 2  # the proxy's status after SIGTERM, not SIGKILL (137)


def test_image_has_no_compiler_and_no_installer(image: str) -> None:
    with run_container(image, "sh", "-c", "command -v gcc npm pip uv git curl; true", **STRICT) as container:
        container.docker.wait(timeout=180)
        assert container.log() == ""
