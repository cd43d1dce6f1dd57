"""Tests of values in different files that depend on each other, for example limits of nginx and of the hub."""

from __future__ import annotations

import re
import subprocess
import tomllib
from typing import Any

import yaml

from tools.components import ROOT, version

PREPULL = ROOT / "hub/kubernetes/prepull-daemonset.yaml"


def images(manifest: str) -> list[str]:
    """Return the images that a DaemonSet pulls to the nodes. The last one is the image of the sleeping container."""
    pod: dict[str, Any] = yaml.safe_load(manifest)["spec"]["template"]["spec"]
    return [container["image"] for container in [*pod["initContainers"], *pod["containers"]]]


def test_proxy_keeps_connections_longer_than_nginx() -> None:
    manifest = yaml.safe_load((ROOT / "hub/kubernetes/proxy-deployment.yaml").read_text())
    arguments = " ".join(manifest["spec"]["template"]["spec"]["containers"][0]["args"])
    proxy = re.search(r"--keep-alive-timeout=([0-9]+)(?: |$)", arguments)
    nginx = re.search(r"^keepalive_timeout ([0-9]+)s;$", (ROOT / "nginx/conf/limits.conf").read_text(), re.MULTILINE)
    assert proxy
    assert nginx
    assert int(proxy[1]) > 1000 * int(nginx[1])


def find_numbers(path: str, pattern: str) -> list[int]:
    """Search a file of the checkout for a pattern that matches once, and return the numbers in the pattern's groups."""
    (match,) = re.finditer(pattern, (ROOT / path).read_text(), re.MULTILINE)
    return [int(number) for number in match.groups()]


def test_header_limits_increase_along_the_chain() -> None:
    count, size = find_numbers("nginx/conf/limits.conf", r"^large_client_header_buffers (\d+) (\d+)k;$")
    (cookies,) = find_numbers("nginx/conf/limits.conf", r'^    "~\^\\S\* \.\{(\d+)\}" 1;$')
    proxies = [
        find_numbers(f"{name}/proxy/start-proxy", r"--max-http-header-size=(\d+) ") for name in ("hub", "jupyterlab")
    ]
    servers = [
        find_numbers(path, r"^HEADERS_MAX = (\d+) \* 1024$")
        for path in ("hub/src/labhub/configuration.py", "jupyterlab/src/lsstlab/server_limits.py")
    ]
    assert cookies + len("Cookie: \r\n") <= 1024 * size, "a WebSocket sends all cookies in one header"
    # The limits differ by a margin, because each server adds headers. In addition, a header that nginx receives with
    # HTTP/2 is four bytes longer when nginx sends the header to the proxy with HTTP/1.1.
    margin = 8 * 1024
    assert 1024 * count * size + margin <= min(*proxies)[0]
    assert max(*proxies)[0] + margin <= 1024 * min(*servers)[0]


def test_body_limits_of_nginx_and_servers_agree() -> None:
    (labs,) = find_numbers("nginx/start", r"^NGINX_MAX_BODY=\$\{NGINX_MAX_BODY:-(\d+)m\}$")
    assert find_numbers("jupyterlab/src/lsstlab/server_limits.py", r"^BODY_MAX = (\d+) \* 1024\*\*2$") == [labs]
    sizes = re.findall(r"client_max_body_size (\d+)m;", (ROOT / "nginx/conf/locations.conf").read_text())
    assert set(sizes) == {"1"}
    assert "\nBODY_MAX = 1024**2\n" in (ROOT / "hub/src/labhub/configuration.py").read_text()


def test_prepull_daemonset_has_the_images_of_the_menu() -> None:
    menu = tomllib.loads((ROOT / "hub/src/labhub/data/menu.toml").read_text())
    *pulled, sleeping = images(PREPULL.read_text())
    assert pulled == [image["image"].replace("{version}", version()) for image in menu["images"]]
    assert sleeping in pulled


def test_documented_command_pulls_the_image_of_a_site() -> None:
    command = re.search(r"```sh\n *(sed [^`]*prepull-daemonset\.yaml)", (ROOT / "docs/admin/images.md").read_text())
    assert command
    manifest = subprocess.run(["sh", "-c", command[1]], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(images(manifest)) == {"registry.example.org/lab:7"}
    # The site's DaemonSet has a different name and labels, so that the apply of a release does not change it.
    theirs, ours = yaml.safe_load(manifest), yaml.safe_load(PREPULL.read_text())
    assert theirs["metadata"]["name"] != ours["metadata"]["name"]
    for field in ("name", "component"):
        label = f"app.kubernetes.io/{field}"
        selected = theirs["spec"]["selector"]["matchLabels"][label]
        assert selected == theirs["spec"]["template"]["metadata"]["labels"][label] == "prepull-lab7"
