"""Interpretation of failed image pulls: the cause of a failure, and whether a later pull can succeed.

Each container runtime and each registry has its own error texts. An unknown text counts as a transient failure, because
kubelet repeats the pull. The texts are in the source files `core/remotes/docker/*.go` of containerd, and in
`pkg/kubelet/images` of Kubernetes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from labhub.models.pod_events import PodEvent

# Reasons that kubelet reports for a container that waits for its image
REASONS = {
    "ErrImagePull",
    "ImagePullBackOff",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
    "ErrImageNeverPull",
    "InvalidImageName",
}
FINAL_REASONS = {"SignatureValidationFailed", "ErrImageNeverPull", "InvalidImageName"}
# Texts of transient failures: the registry, the network or the node is overloaded or unavailable. If kubelet has tried
# several credentials, the message contains an error for each. If one of these errors is transient, the failure is
# transient.
TRANSIENT = re.compile(
    r"429 \(?too many requests|too many requests|toomanyrequests:|qps exceeded"
    r"|\b5\d\d \(?(internal server error|bad gateway|service unavailable|gateway time-?out)"
    r"|i/o timeout|handshake timeout|timeout exceeded|deadline exceeded|context canceled"
    r"|connection refused|connection reset|no such host|server misbehaving|temporary failure"
    r"|network is unreachable|no route to host|: (unexpected )?eof\b",
    re.IGNORECASE,
)
# Texts of final failures: the image does not exist, the site may not pull the image, or the image's name is invalid.
# The text "not found" alone is not in the list. containerd also reports it for a layer that the node has just deleted.
FINAL = re.compile(
    r"failed to resolve (reference|image) .*: not found|manifest unknown|name unknown|not known to registry"
    r"|no match for platform in manifest|repository does not exist|no such image|404 not found"
    r"|\b(unauthorized|denied): |\b401 unauthorized|\b403 forbidden|authorization failed|pull access denied"
    r"|no basic auth credentials|invalid username/password"
    r"|invalid reference format|failed to parse image reference|couldn't parse image name|name invalid"
    r"|must be lowercase|no longer supported since|signature ?validation ?failed",
    re.IGNORECASE | re.DOTALL,
)
BACK_OFF = re.compile(r'Back-off pulling image ("[^"]*")\.?')


def find_cause(waiting: dict[str, Any], events: Sequence[PodEvent]) -> str:
    """Return the cause of the last failed image pull, as text.

    While kubelet waits before the next attempt, it reports the reason `ImagePullBackOff`. With older versions of
    kubelet, the message of this reason lacks the cause. Then the cause is only in an event.

    Parameters
    ----------
    waiting
        State of the waiting container.
    events
        Events of the pod, oldest first.
    """
    message = str(waiting.get("message") or "")
    if back_off := BACK_OFF.fullmatch(message.strip()):
        start = f"Failed to pull image {back_off[1]}"
        causes = [event.message for event in events if event.message.startswith(start)]
        return causes[-1] if causes else message
    return message


def is_final(reason: str, cause: str) -> bool:
    """Return whether no later pull of the image can succeed.

    Parameters
    ----------
    reason
        Reason of the waiting container: one of `REASONS`.
    cause
        Error of the last pull.
    """
    if reason in FINAL_REASONS:
        return True
    return not TRANSIENT.search(cause) and bool(FINAL.search(cause))
