"""Set the reclaim policy of claims' volumes to `Retain`, so that Kubernetes keeps the disks of deleted claims.

A CronJob runs `python -m labhub.infra.volume_retention NAMESPACE CLAIM ...` regularly, because a claim can get a new
volume at any time. For example, a claim can get its first volume only when a pod uses the claim. An administrator can
also replace the volume to move the data to another disk.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys

from aiohttp import ClientError
from kubernetes_asyncio.client import ApiException, CoreV1Api, V1PersistentVolume, V1PersistentVolumeClaim

from labhub.infra.kubernetes_client import make_api
from labhub.shared.json_logs import ServiceFormatter, configure_root_logger

logger = logging.getLogger("labhub.volume_retention")

RETAIN = "Retain"
# Annotation of a volume with which an administrator allows Kubernetes to delete the disk: docs/admin/uninstall.md
ALLOW_DELETION = "jupyterlabdemo.lsst.io/allow-delete"
NOT_FOUND = 404


def needs_change(claim: V1PersistentVolumeClaim, volume: V1PersistentVolume) -> bool:
    """Return whether Kubernetes would delete a volume with its claim although no administrator has allowed this."""
    is_bound = getattr(volume.spec.claim_ref, "uid", None) == claim.metadata.uid
    is_given_up = (volume.metadata.annotations or {}).get(ALLOW_DELETION) == "true"
    return is_bound and not is_given_up and volume.spec.persistent_volume_reclaim_policy != RETAIN


async def find_volume(api: CoreV1Api, namespace: str, name: str) -> V1PersistentVolume | None:
    """Return the volume of a claim if the volume's reclaim policy needs a change, otherwise None."""
    try:
        claim = await api.read_namespaced_persistent_volume_claim(name, namespace)
        if not claim.spec.volume_name:
            return None  # the claim is not bound yet
        volume = await api.read_persistent_volume(claim.spec.volume_name)
    except ApiException as error:
        if error.status == NOT_FOUND:
            return None  # some sites have no such claim: fileserver/alternatives/hostpath
        raise
    return volume if needs_change(claim, volume) else None


async def retain_volume(api: CoreV1Api, namespace: str, claim: str) -> None:
    """Set the reclaim policy of a claim's volume to `Retain` if necessary, and log the change.

    Raises
    ------
    ApiException
        Raised if the API refuses the change, for example because another client has just changed the volume.
    """
    if (volume := await find_volume(api, namespace, claim)) is None:
        return
    patch = {
        # Because of `resourceVersion`, the API refuses this patch if the volume has changed, for example to another
        # claim.
        "metadata": {"resourceVersion": volume.metadata.resource_version},
        "spec": {"persistentVolumeReclaimPolicy": RETAIN},
    }
    await api.patch_persistent_volume(volume.metadata.name, patch)
    fields = {"claim": f"{namespace}/{claim}", "volume": volume.metadata.name}
    logger.info("set the reclaim policy of a volume to Retain", extra=fields)


def describe_error(error: Exception) -> str:
    """Return the message of an error of the Kubernetes API, or of the connection to the API."""
    if not isinstance(error, ApiException):
        return str(error) or type(error).__name__
    try:
        return str(json.loads(error.body or b"")["message"])
    except (KeyError, TypeError, ValueError):
        return f"{error.status} {error.reason}"


async def retain_volumes(namespace: str, claims: list[str]) -> bool:
    """Set the reclaim policy of all claims' volumes to `Retain`, and return whether all changes succeeded."""
    api = make_api()
    succeeded = True
    for claim in claims:
        try:
            await retain_volume(api, namespace, claim)
        except (ApiException, ClientError, TimeoutError) as error:
            logger.error("cannot retain the volume of %s/%s: %s", namespace, claim, describe_error(error))
            succeeded = False
    return succeeded


def main() -> None:
    """Set the reclaim policies of the volumes, and exit with status 1 if a policy cannot be set."""
    parser = argparse.ArgumentParser(prog="labhub.infra.volume_retention", description=__doc__)
    parser.add_argument("namespace", metavar="NAMESPACE", help="namespace of the claims")
    parser.add_argument("claims", metavar="CLAIM", nargs="+", help="name of a claim")
    options = parser.parse_args()
    configure_root_logger(ServiceFormatter("hub"))
    if not asyncio.run(retain_volumes(options.namespace, options.claims)):
        sys.exit(1)


if __name__ == "__main__":
    main()
