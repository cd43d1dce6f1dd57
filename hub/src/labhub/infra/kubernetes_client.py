"""The hub's client of the Kubernetes API."""

from __future__ import annotations

from kubernetes_asyncio.client import Configuration, CoreV1Api
from kubespawner.clients import load_config, shared_client  # type: ignore[import-untyped]


def make_api() -> CoreV1Api:
    """Return a client for the cluster that the hub runs in, or that KUBECONFIG names.

    The client verifies certificates as OpenSSL does. Python 3.13 also rejects certificate authorities without a key
    usage extension, which many clusters have: https://docs.python.org/3/library/ssl.html#ssl.VERIFY_X509_STRICT.
    """
    load_config()
    configuration = Configuration.get_default_copy()
    configuration.disable_strict_ssl_verification = True
    Configuration.set_default(configuration)
    api: CoreV1Api = shared_client("CoreV1Api")
    return api
