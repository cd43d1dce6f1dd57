"""A pod in the labs' namespace, for some seconds. It can reach what a lab can reach.

Its labels are those that the NetworkPolicies of labs and hub select. It lacks `part-of: jupyterlabdemo`, by which the
hub finds its labs: otherwise the hub would remove it as a lab without a user.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from labadmin.doctor.kubectl import Answer, Kubectl
from labadmin.doctor.objects import LABS, NAMESPACE, Object, Objects, look_up

INSIDE = Path(__file__).parent / "pod_programs"
# Limit for scheduling and start. The hub's image is on the node already.
START_SECONDS = 25
LABELS = {
    "app.kubernetes.io/name": "doctor",
    "app.kubernetes.io/component": "lab",
    "app.kubernetes.io/part-of": "jupyterlabdemo-doctor",
}
DNS = ("hub.jupyterlabdemo", "fileserver.jupyterlabdemo.svc.cluster.local")
OPEN = (("hub", f"hub.{NAMESPACE}", "8081"), ("proxy", f"proxy.{NAMESPACE}", "8000"))
OWN_NODE = "its node's kubelet"
SHUT = (
    ("the API of Kubernetes", "$KUBERNETES_SERVICE_HOST", "443"),
    (OWN_NODE, "$HOST_IP", "10250"),
    ("the proxy's API", f"proxy-api.{NAMESPACE}", "8001"),
    ("the fileserver's API", f"fileserver.{NAMESPACE}", "8080"),
    ("the cloud's metadata (169.254.169.254)", "169.254.169.254", "80"),
)
NFS = ("NFS", f"fileserver.{NAMESPACE}", "2049")


def read_program(name: str) -> str:
    """Return the text of one of the `pod_programs`."""
    return (INSIDE / f"{name}.py").read_text()


def list_targets(objects: Objects) -> dict[str, list[list[str]]]:
    """Return the names and addresses that the probe tries."""
    api = look_up(objects.find("Service", "kubernetes", "default"), "spec", "ports", default=[{}])
    port = str(api[0].get("port", 443))
    shut = [[label, host, port if host == "$KUBERNETES_SERVICE_HOST" else number] for label, host, number in SHUT]
    if objects.serves_nfs:
        shut.append(list(NFS))
    return {"names": [[name, name] for name in DNS], "open": [list(row) for row in OPEN], "shut": shut}


def build_pod(name: str, image: str, objects: Objects) -> Object:
    """Return the pod, with the restrictions of a lab."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": LABS, "labels": LABELS},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 1,
            # The pod ends by itself if the doctor was killed.
            "activeDeadlineSeconds": 60,
            # By default a silent name server costs 20 s, so the probe would not report within START_SECONDS.
            "dnsConfig": {"options": [{"name": "timeout", "value": "1"}, {"name": "attempts", "value": "1"}]},
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "runAsGroup": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "probe",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python", "-c", read_program("lab"), json.dumps(list_targets(objects))],
                    "env": [{"name": "HOST_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "resources": {
                        "requests": {"cpu": "10m", "memory": "32Mi"},
                        "limits": {"cpu": "500m", "memory": "64Mi"},
                    },
                }
            ],
        },
    }


def run_pod(kubectl: Kubectl, image: str, objects: Objects) -> Answer:
    """Run the probe and return its output. It is always removed."""
    name = f"doctor-{secrets.token_hex(4)}"
    here = ["--namespace", LABS]
    try:
        made = kubectl.run("create", "--filename", "-", stdin=json.dumps(build_pod(name, image, objects)))
        if made.status:
            return made
        wait = ["wait", f"pod/{name}", *here, "--for=jsonpath={.status.phase}=Succeeded"]
        done = kubectl.run(*wait, f"--timeout={START_SECONDS}s", seconds=START_SECONDS + 5)
        return find_reason(kubectl, name, done) if done.status else kubectl.run("logs", name, *here)
    finally:
        remove_pods(kubectl, name)


def find_reason(kubectl: Kubectl, name: str, failed: Answer) -> Answer:
    """Return the reason why the probe did not finish, as a failed answer."""
    found = kubectl.get("pod", name, "--namespace", LABS).read()
    state = look_up(found, "status", "containerStatuses", default=[{}])[0].get("state", {})
    waiting = look_up(state, "waiting", "message") or look_up(state, "waiting", "reason")
    messages = [one.get("message", "") for one in look_up(found, "status", "conditions", default=[])]
    log = kubectl.run("logs", name, "--namespace", LABS).out if "terminated" in state else ""
    why = waiting or next(filter(None, [*messages, log]), failed.reason)
    return Answer(failed.status, "", str(why))


def remove_pods(kubectl: Kubectl, *which: str) -> None:
    """Remove a probe. Without a name, remove those that killed doctors left behind."""
    chosen = which or ("--selector", "app.kubernetes.io/name=doctor", "--field-selector", "status.phase!=Running")
    kubectl.run("delete", "pod", *chosen, "--namespace", LABS, "--ignore-not-found", "--wait=false", "--now")
