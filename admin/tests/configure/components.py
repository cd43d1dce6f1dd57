"""Read the written files with the components' own code, from the variables and files of their pods."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from pathlib import Path
from typing import Any

import beatsrelay.settings
import labfiles.settings
import labhub.settings.environment
import yaml
from labhub.settings.labs import LabSettings
from labhub.settings.login import LoginSettings

from admin.tests.configure.sample import SampleSite
from tools.components import ROOT


def pod(component: str, container: str) -> dict[str, str]:
    """Return the variables that a Deployment sets itself."""
    body = yaml.safe_load((ROOT / component / "kubernetes/deployment.yaml").read_text())
    found = next(one for one in body["spec"]["template"]["spec"]["containers"] if one["name"] == container)
    return {one["name"]: one["value"] for one in found["env"]}


def mounted(site: SampleSite, folder: str, file: str) -> str:
    """Write the files of an object as kubelet mounts them, and return the folder."""
    path = site.folder / "mounted" / Path(folder).name
    path.mkdir(parents=True, exist_ok=True)
    for name, text in site.data(file).items():
        (path / name).write_text(text)
    return str(path)


def environment(site: SampleSite, component: str, container: str, mounts: dict[str, str]) -> dict[str, str]:
    """Return a container's environment, with the local paths of its mounted folders."""
    found = pod(component, container) | site.data(f"{component}-configmap.yaml")
    for folder, file in mounts.items():
        place = mounted(site, folder, file)
        found = {name: text.replace(f"{folder}/", f"{place}/") for name, text in found.items()}
    return found


def load_hub(site: SampleSite) -> dict[str, dict[str, Any]]:
    """Return both kinds of the hub's settings."""
    mounts = {"/run/secrets/hub": "hub-secret.yaml", "/etc/jupyterlabdemo": "hub-files-configmap.yaml"}
    environ = environment(site, "hub", "hub", mounts)
    return {
        "hub": dict(labhub.settings.environment.load(environ, LoginSettings)),
        "labs": dict(labhub.settings.environment.load(environ, LabSettings)),
    }


def load_relay(site: SampleSite) -> dict[str, Any]:
    """Return the relay's settings."""
    mounts = {
        "/run/secrets/logstashrmq-tls": "logstashrmq-tls-secret.yaml",
        "/run/secrets/logstashrmq": "logstashrmq-secret.yaml",
    }
    return dict(beatsrelay.settings.load_settings(environment(site, "logstashrmq", "relay", mounts)))


def load_fileserver(site: SampleSite) -> dict[str, Any]:
    """Return the fileserver's settings."""
    mounts = {"/run/secrets/fileserver": "fileserver-secret.yaml"}
    return dataclasses.asdict(labfiles.settings.load(environment(site, "fileserver", "labfiles", mounts)))


def check_nginx(site: SampleSite) -> None:
    """Check the settings with the part of nginx's start script that runs before it reads the certificate."""
    script = (ROOT / "nginx/start").read_text().split("# The certificate as it is now")[0]
    environ = {"PATH": os.environ["PATH"], **site.data("nginx-configmap.yaml")}
    done = subprocess.run(
        ["bash", "-c", f"{script}\ncheck_settings"], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def load_all(site: SampleSite) -> dict[str, dict[str, Any]]:
    """Read the settings with all components. Return those of the Python components by name."""
    check_nginx(site)
    return {**load_hub(site), "relay": load_relay(site), "fileserver": load_fileserver(site)}
