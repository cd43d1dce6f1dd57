"""The hub's client of the Kubernetes API."""

from __future__ import annotations

from kubernetes_asyncio.client import Configuration, CoreV1Api
from kubespawner.clients import load_config, shared_client  # type: ignore[import-untyped]


def make_api() -> CoreV1Api:
    """Return a client of the Kubernetes API.

    In a pod, the client uses the hub's own cluster. Elsewhere it uses the cluster in the file that KUBECONFIG names.

    The client verifies certificates with OpenSSL's default checks. Python 3.13 adds a stricter check by default. That
    check rejects certificate authorities without a key usage extension, and many clusters have such an authority:
    https://docs.python.org/3/library/ssl.html#ssl.VERIFY_X509_STRICT.
    """
    load_config()
    configuration = Configuration.get_default_copy()
    configuration.disable_strict_ssl_verification = True
    Configuration.set_default(configuration)
    api: CoreV1Api = shared_client("CoreV1Api")
    return api
