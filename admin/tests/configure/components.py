"""Loaders that read the files of `configure` with each component's own code, in the environment of its pod."""

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
    """Return the variables that a Deployment sets for a container."""
    body = yaml.safe_load((ROOT / component / "kubernetes/deployment.yaml").read_text())
    containers = {spec["name"]: spec for spec in body["spec"]["template"]["spec"]["containers"]}
    return {variable["name"]: variable["value"] for variable in containers[container]["env"]}


def mounted(site: SampleSite, folder: str, file: str) -> str:
    """Write the keys of an object as files, as kubelet mounts them, and return the folder."""
    path = site.folder / "mounted" / Path(folder).name
    path.mkdir(parents=True, exist_ok=True)
    for name, text in site.data(file).items():
        (path / name).write_text(text)
    return str(path)


def environment(site: SampleSite, component: str, container: str, mounts: dict[str, str]) -> dict[str, str]:
    """Return the environment of a container, with local paths in place of its mounted folders."""
    variables = pod(component, container) | site.data(f"{component}-configmap.yaml")
    for folder, file in mounts.items():
        local = mounted(site, folder, file)
        variables = {name: text.replace(f"{folder}/", f"{local}/") for name, text in variables.items()}
    return variables


def load_hub(site: SampleSite) -> dict[str, dict[str, Any]]:
    """Return the settings that the hub's own code reads: those of the login, and those of the labs."""
    mounts = {"/run/secrets/hub": "hub-secret.yaml", "/etc/jupyterlabdemo": "hub-files-configmap.yaml"}
    environ = environment(site, "hub", "hub", mounts)
    return {
        "hub": dict(labhub.settings.environment.load(environ, LoginSettings)),
        "labs": dict(labhub.settings.environment.load(environ, LabSettings)),
    }


def load_relay(site: SampleSite) -> dict[str, Any]:
    """Return the settings that the relay's own code reads from the written files."""
    mounts = {
        "/run/secrets/logstashrmq-tls": "logstashrmq-tls-secret.yaml",
        "/run/secrets/logstashrmq": "logstashrmq-secret.yaml",
    }
    return dict(beatsrelay.settings.load_settings(environment(site, "logstashrmq", "relay", mounts)))


def load_fileserver(site: SampleSite) -> dict[str, Any]:
    """Return the settings that the fileserver's own code reads from the written files."""
    mounts = {"/run/secrets/fileserver": "fileserver-secret.yaml"}
    return dataclasses.asdict(labfiles.settings.load(environment(site, "fileserver", "labfiles", mounts)))


def check_nginx(site: SampleSite) -> None:
    """Check the settings of nginx with the functions of its start script. The certificate is not checked."""
    script = (ROOT / "nginx/start").read_text().partition("\ncheck_settings\n")[0]
    environ = {"PATH": os.environ["PATH"], **site.data("nginx-configmap.yaml")}
    done = subprocess.run(
        ["bash", "-c", f"{script}\ncheck_settings"], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def load_all(site: SampleSite) -> dict[str, dict[str, Any]]:
    """Read the settings with the code of each component. Return those of the Python components, by component."""
    check_nginx(site)
    return {**load_hub(site), "relay": load_relay(site), "fileserver": load_fileserver(site)}
