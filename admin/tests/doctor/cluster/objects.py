"""Kubernetes objects that the tests create, change and search."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import trustme
from labtesting import cluster
from labtesting.cluster import LABS, NAMESPACE, kubectl

SELECTOR = "app.kubernetes.io/name=doctor"


def secret(name: str, data: dict[str, bytes]) -> dict[str, Any]:
    stored = {key: base64.b64encode(value).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": NAMESPACE}, "data": stored}


def config(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": NAMESPACE}, "data": data}


@contextmanager
def patched(
    kind: str, name: str, patch: dict[str, Any], back: dict[str, Any], namespace: str = NAMESPACE
) -> Iterator[None]:
    """Change an object within the context, and restore it at the end."""
    where = ["patch", kind, name, "--namespace", namespace, "--type", "merge", "--patch"]
    kubectl(*where, json.dumps(patch))
    try:
        yield
    finally:
        kubectl(*where, json.dumps(back))


def issue(authority: trustme.CA, name: str, ends: timedelta = timedelta(days=90)) -> dict[str, bytes]:
    issued = authority.issue_cert(name, not_after=datetime.now(UTC) + ends)
    certificate = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    return {"tls.crt": certificate, "tls.key": issued.private_key_pem.bytes(), "ca.crt": authority.cert_pem.bytes()}


def probes() -> list[str]:
    return [pod["metadata"]["name"] for pod in cluster.get("pods", namespace=LABS, selector=SELECTOR)]
