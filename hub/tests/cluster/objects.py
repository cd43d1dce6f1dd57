"""The Kubernetes objects that the tests add to the manifests."""

from __future__ import annotations

import base64
import secrets
from pathlib import Path
from typing import Any

import trustme
from labtesting.cluster import LABS, NAMESPACE
from labtesting.github import FakeGitHub

from hub.tests.cluster.node import REGISTRY_PORT, STORAGE, groups_policy
from tools.components import version

ROOT = Path(__file__).parents[3]
NODE_PORT = 30080
URL = f"http://127.0.0.1:{NODE_PORT}"
ORPHAN, STRANGER = "lab-4711", "stranger"
LAB_LABELS = {"app.kubernetes.io/part-of": "jupyterlabdemo", "app.kubernetes.io/component": "lab"}
# Storage folder on the node in the manifests for a site without NFS. The tests replace it by a folder of their own.
SITE_STORAGE = "/var/lib/jupyterlabdemo"
ADMIN_ID = 4242
# Images in the tests' registry. The tag differs in each run of the tests, because a node keeps the images that it has
# pulled.
TAG = secrets.token_hex(4)
IMAGES = {name: f"localhost:{REGISTRY_PORT}/{name}/lab:{TAG}" for name in ("missing", "denied", "limited", "down")}
MENU = """
[[images]]
key = "recommended"
title = "Recommended"
description = "JupyterLab with the part of the LSST stack that is on PyPI"
image = "lsstsqre/jupyterlabdemo:{version}"

[[images]]
key = "broken"
title = "Broken"
image = "lsstsqre/jupyterlabdemo-hub:{version}"

"""
MENU += "".join(
    f'[[images]]\nkey = "{name}"\ntitle = "{name}"\nimage = "{image}"\n\n' for name, image in IMAGES.items()
)
MENU += """
[[sizes]]
key = "small"
title = "Small"
description = "Notebooks, small tables, writing"
cpu = "1"
memory = "1Gi"
cpu_request = "50m"
memory_request = "128Mi"

[[sizes]]
key = "tiny"
title = "Tiny"
description = "Too little memory for most notebooks"
cpu = "1"
memory = "300Mi"

[[sizes]]
key = "impossible"
title = "Impossible"
cpu = "4000"
memory = "64Ti"
"""


def fileserver() -> str:
    """Return the fileserver's manifests for a site without NFS, with the tests' storage folder."""
    files = sorted((ROOT / "fileserver/alternatives/hostpath").glob("*.yaml"))
    manifests = "\n---\n".join(file.read_text() for file in files)
    assert SITE_STORAGE in manifests
    return manifests.replace(SITE_STORAGE, STORAGE)


def settings(github: FakeGitHub, authority: trustme.CA) -> list[dict[str, Any]]:
    """Return the ConfigMaps and Secrets that contain the settings of the tests' site."""

    def build(kind: str, name: str, data: dict[str, str]) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, "data": data}

    variables = {
        "GITHUB_CLIENT_ID": "labhub-test",
        "OAUTH_CALLBACK_URL": f"{URL}/hub/oauth_callback",
        "GITHUB_URL": github.url,
        "GITHUB_ORGANIZATION_WHITELIST": "lsst-sqre",
        "GITHUB_REFRESH_SECONDS": "60",
        "LAB_GROUPS_POLICY": groups_policy(),
        "LAB_MENU": "/etc/jupyterlabdemo/menu.toml",
        "SSL_CERT_FILE": "/etc/jupyterlabdemo/ca.crt",
        "GITHUB_ADMINS": str(ADMIN_ID),
    }
    secret = {
        "JUPYTERHUB_CRYPT_KEY": secrets.token_hex(32),
        "GITHUB_CLIENT_SECRET": "made-up-client-secret",
        "CONFIGPROXY_AUTH_TOKEN": secrets.token_hex(32),
        "FILESERVER_TOKEN": secrets.token_hex(32),
    }
    encoded = {name: base64.b64encode(text.encode()).decode() for name, text in secret.items()}
    return [
        build("ConfigMap", "hub", variables),
        build("ConfigMap", "hub-files", {"menu.toml": MENU, "ca.crt": authority.cert_pem.bytes().decode()}),
        build("Secret", "hub", encoded),
        build("Secret", "fileserver", {"FILESERVER_TOKEN": encoded["FILESERVER_TOKEN"]}),
    ]


def node_port() -> dict[str, Any]:
    """Return the Service through which this machine reaches the proxy."""
    labels = {"app.kubernetes.io/name": "configurable-http-proxy", "app.kubernetes.io/component": "proxy"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "proxy-test", "namespace": NAMESPACE},
        "spec": {
            "type": "NodePort",
            "selector": labels,
            "ports": [{"port": 8000, "targetPort": "http", "nodePort": NODE_PORT}],
        },
    }


def foreign_pod(name: str, **labels: str) -> dict[str, Any]:
    """Return the manifest of a pod in the labs' namespace that the test creates instead of the hub."""
    image = "lsstsqre/jupyterlabdemo-hub:" + version()
    restricted = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    spec = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 4711, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {"name": "notebook", "image": image, "command": ["sleep", "infinity"], "securityContext": restricted}
        ],
    }
    metadata = {"name": name, "namespace": LABS, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def slow_pod(name: str) -> dict[str, Any]:
    """Return the manifest of a pod in the labs' namespace with a grace period of one hour, which ignores SIGTERM.

    The pod's process has no handler for SIGTERM. In a container, Linux does not deliver such a signal to the first
    process.
    """
    pod = foreign_pod(name)
    pod["spec"]["terminationGracePeriodSeconds"] = 3600
    return pod
