"""What two files have to say alike, where no program holds one against the other."""

from __future__ import annotations

import re
import subprocess
import tomllib
from typing import Any

import yaml

from tools.components import ROOT, version

PREPULL = ROOT / "hub/kubernetes/prepull-daemonset.yaml"


def images(manifest: str) -> list[str]:
    """Give the images that a DaemonSet has nodes fetch, and at the end the one that sleeps."""
    pod: dict[str, Any] = yaml.safe_load(manifest)["spec"]["template"]["spec"]
    return [one["image"] for one in [*pod["initContainers"], *pod["containers"]]]


def test_the_proxy_keeps_a_connection_longer_than_nginx_which_is_in_front() -> None:
    manifest = yaml.safe_load((ROOT / "hub/kubernetes/proxy-deployment.yaml").read_text())
    arguments = " ".join(manifest["spec"]["template"]["spec"]["containers"][0]["args"])
    kept = re.search(r"--keep-alive-timeout=([0-9]+)(?: |$)", arguments)
    front = re.search(r"^keepalive_timeout ([0-9]+)s;$", (ROOT / "nginx/conf/limits.conf").read_text(), re.MULTILINE)
    assert kept
    assert front
    assert int(kept[1]) > 1000 * int(front[1])


def test_nodes_fetch_the_images_of_the_menu_beforehand() -> None:
    menu = tomllib.loads((ROOT / "hub/src/labhub/data/menu.toml").read_text())
    *fetched, sleeping = images(PREPULL.read_text())
    assert fetched == [one["image"].replace("{version}", version()) for one in menu["images"]]
    assert sleeping in fetched


def test_a_site_has_its_own_image_fetched_by_the_command_of_the_documentation() -> None:
    told = re.search(r"```sh\n *(sed [^`]*prepull-daemonset\.yaml)", (ROOT / "docs/admin/images.md").read_text())
    assert told
    made = subprocess.run(["sh", "-c", told[1]], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(images(made)) == {"registry.example.org/lab:7"}
    # Nothing else of it is ours any more: what a release applies leaves it alone.
    theirs, ours = yaml.safe_load(made), yaml.safe_load(PREPULL.read_text())
    assert theirs["metadata"]["name"] != ours["metadata"]["name"]
    for field in ("name", "component"):
        label = f"app.kubernetes.io/{field}"
        chosen = theirs["spec"]["selector"]["matchLabels"][label]
        assert chosen == theirs["spec"]["template"]["metadata"]["labels"][label] == "prepull-lab7"
