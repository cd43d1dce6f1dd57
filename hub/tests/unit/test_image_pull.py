"""Tests of how the hub interprets real error texts of kubelet, container runtimes and registries."""

from __future__ import annotations

import pytest
from labhub.labs.starting.image_pull import find_cause, is_final
from labhub.models.pod_events import PodEvent

CONTAINERD = 'failed to pull and unpack image "r.example/lab:1": failed to resolve reference "r.example/lab:1": '
BACK_OFF = 'Back-off pulling image "r.example/lab:1"'
FINAL = {
    "containerd: not found": (
        "ErrImagePull",
        f"rpc error: code = NotFound desc = {CONTAINERD}r.example/lab:1: not found",
    ),
    "containerd: denied": (
        "ErrImagePull",
        f"{CONTAINERD}pull access denied, repository does not exist or may require authorization: "
        "server message: insufficient_scope: authorization failed",
    ),
    "containerd 1: unauthorized": (
        "ErrImagePull",
        f"{CONTAINERD}pulling from host r.example failed with status code [manifests 1]: 401 Unauthorized",
    ),
    "containerd 2: unauthorized": (
        "ErrImagePull",
        f"{CONTAINERD}unexpected status from HEAD request to https://r.example/v2/lab/manifests/1: 401 UNAUTHORIZED",
    ),
    "containerd: token refused": (
        "ErrImagePull",
        f"{CONTAINERD}failed to authorize: failed to fetch anonymous token: unexpected status from GET request to "
        "https://r.example/token?scope=repository%3Alab%3Apull: 403 Forbidden",
    ),
    "containerd: other architecture": (
        "ErrImagePull",
        'rpc error: code = NotFound desc = failed to pull and unpack image "r.example/lab:1": '
        "no match for platform in manifest: not found",
    ),
    "CRI-O: unknown tag": (
        "ErrImagePull",
        "rpc error: code = Unknown desc = reading manifest 1 in r.example/lab: manifest unknown",
    ),
    "CRI-O: unauthorized": (
        "ErrImagePull",
        "rpc error: code = Unknown desc = reading manifest 1 in r.example/lab: errors:\n"
        "denied: requested access to the resource is denied\nunauthorized: authentication required\n",
    ),
    "cri-dockerd: denied": (
        "ErrImagePull",
        "Error response from daemon: pull access denied for lab, repository does not exist or may require "
        "'docker login': denied: requested access to the resource is denied",
    ),
    "kubelet: back-off after not found": (
        "ImagePullBackOff",
        f"{BACK_OFF}: ErrImagePull: rpc error: code = NotFound desc = {CONTAINERD}r.example/lab:1: not found",
    ),
    "kubelet: invalid name": (
        "InvalidImageName",
        'Failed to apply default image tag "UPPER/Case:1": couldn\'t parse image name "UPPER/Case:1": '
        "invalid reference format: repository name (Case) must be lowercase",
    ),
    "kubelet: never pulled": (
        "ErrImageNeverPull",
        'Container image "lab:1" is not present with pull policy of Never',
    ),
    "kubelet: signature": (
        "SignatureValidationFailed",
        "image pull failed for r.example/lab:1 because the signature validation failed: no key",
    ),
    "kubelet: back-off after signature": (
        "ImagePullBackOff",
        f"{BACK_OFF}: SignatureValidationFailed: image pull failed for r.example/lab:1 because ...",
    ),
}
TRANSIENT = {
    "kubelet: QPS": ("ErrImagePull", "pull QPS exceeded"),
    "kubelet: back-off after QPS": ("ImagePullBackOff", f"{BACK_OFF}: ErrImagePull: pull QPS exceeded"),
    "kubelet: registry unavailable": (
        "RegistryUnavailable",
        "image pull failed for r.example/lab:1 because the registry is unavailable",
    ),
    "containerd 1: 429": (
        "ErrImagePull",
        f"{CONTAINERD}pulling from host r.example failed with status code [manifests 1]: 429 Too Many Requests",
    ),
    "containerd 2: 429": (
        "ErrImagePull",
        f"{CONTAINERD}unexpected status from HEAD request to https://r.example/v2/lab/manifests/1: "
        "429 Too Many Requests",
    ),
    "containerd: 429 of a layer": (
        "ErrImagePull",
        'failed to pull and unpack image "r.example/lab:1": failed to copy: httpReadSeeker: failed open: unexpected '
        "status code https://r.example/v2/lab/blobs/sha256:1: 429 Too Many Requests - Server message: toomanyrequests: "
        "You have reached your pull rate limit. You may increase the limit by authenticating and upgrading",
    ),
    "containerd: 503": (
        "ErrImagePull",
        f"{CONTAINERD}pulling from host r.example failed with status code [manifests 1]: 503 Service Unavailable",
    ),
    "containerd: token server down": (
        "ErrImagePull",
        f"{CONTAINERD}failed to authorize: failed to fetch anonymous token: unexpected status from GET request to "
        "https://r.example/token: 503 Service Unavailable",
    ),
    "containerd: time-out": (
        "ErrImagePull",
        f'{CONTAINERD}failed to do request: Head "https://r.example/v2/lab/manifests/1": dial tcp 10.0.0.1:443: '
        "i/o timeout",
    ),
    "containerd: registry restarts": (
        "ErrImagePull",
        f'{CONTAINERD}failed to do request: Head "http://r.example/v2/lab/manifests/1": dial tcp 127.0.0.1:1: '
        "connect: connection refused",
    ),
    "containerd: DNS": (
        "ErrImagePull",
        f'{CONTAINERD}failed to do request: Head "https://r.example/v2/lab/manifests/1": dial tcp: lookup r.example on '
        "10.0.0.2:53: server misbehaving",
    ),
    "containerd: layer deleted during the pull": (
        "ErrImagePull",
        'rpc error: code = NotFound desc = failed to pull and unpack image "r.example/lab:1": failed to prepare '
        'extraction snapshot "extract-1 sha256:2": parent snapshot sha256:3 does not exist: not found',
    ),
    "containerd: no progress": (
        "ErrImagePull",
        'failed to pull and unpack image "r.example/lab:1": failed to copy: context canceled',
    ),
    "CRI-O: 429": (
        "ErrImagePull",
        "rpc error: code = Unknown desc = reading manifest 1 in docker.io/lab: toomanyrequests: You have reached your "
        "unauthenticated pull rate limit",
    ),
    "CRI-O: 502": (
        "ErrImagePull",
        "initializing source docker://r.example/lab:1: pinging container registry r.example: received unexpected HTTP "
        "status: 502 Bad Gateway",
    ),
    "cri-dockerd: time-out": (
        "ErrImagePull",
        'Error response from daemon: Get "https://r.example/v2/": net/http: request canceled while waiting for '
        "connection (Client.Timeout exceeded while awaiting headers)",
    ),
    "two credentials, one refused": (
        "ErrImagePull",
        f"[{CONTAINERD}pulling from host r.example failed with status code [manifests 1]: 401 Unauthorized, "
        f"{CONTAINERD}pulling from host r.example failed with status code [manifests 1]: 429 Too Many Requests]",
    ),
    "disk full": (
        "ErrImagePull",
        'failed to pull and unpack image "r.example/lab:1": write /var/lib/containerd/x: no space left on device',
    ),
    "names that look like errors": (
        "ErrImagePull",
        'failed to pull and unpack image "r.example/denied/unauthorized-not-found:403": broken pipe',
    ),
    "kubelet: a busy runtime": (
        "ImageInspectError",
        'Failed to inspect image "": rpc error: code = DeadlineExceeded desc = context deadline exceeded',
    ),
    "unknown": ("ErrImagePull", "an error that no list has"),
    "no message": ("ErrImagePull", ""),
}


@pytest.mark.parametrize(("reason", "cause"), FINAL.values(), ids=FINAL)
def test_a_final_error_is_recognized(reason: str, cause: str) -> None:
    assert is_final(reason, cause)


@pytest.mark.parametrize(("reason", "cause"), TRANSIENT.values(), ids=TRANSIENT)
def test_transient_error_is_not_final(reason: str, cause: str) -> None:
    assert not is_final(reason, cause)


def test_the_cause_is_in_an_event_of_an_older_kubelet() -> None:
    waiting = {"reason": "ImagePullBackOff", "message": BACK_OFF}
    events = [
        PodEvent(reason="Failed", message='Failed to pull image "r.example/lab:1": 503 Service Unavailable'),
        PodEvent(reason="Failed", message='Failed to pull image "r.example/lab:1": manifest unknown'),
        PodEvent(reason="Failed", message='Failed to pull image "r.example/sidecar:1": pull QPS exceeded'),
        PodEvent(reason="Failed", message="Error: ImagePullBackOff"),
    ]
    assert find_cause(waiting, events) == events[1].message
    assert is_final("ImagePullBackOff", find_cause(waiting, events))
    assert find_cause(waiting, []) == BACK_OFF
    assert find_cause({"reason": "ErrImagePull", "message": None}, events) == ""
