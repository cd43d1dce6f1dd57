"""The probe: a pod that runs in the labs' namespace for some seconds, and can reach the same addresses as a lab.

The NetworkPolicies of the labs and of the hub select the probe by its labels. The probe does not have the label
`part-of: jupyterlabdemo`, by which the hub finds its labs. With this label, the hub would delete the probe as an
orphaned pod.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from labadmin.kubectl import Answer, Kubectl
from labadmin.objects import LABS, NAMESPACE, Object, Objects, look_up

INSIDE = Path(__file__).parent / "pod_programs"
# Limit in seconds for the scheduling and the start of the probe. A node that has run the hub has the image already.
START_SECONDS = 25
LABELS = {
    "app.kubernetes.io/name": "doctor",
    "app.kubernetes.io/component": "lab",
    "app.kubernetes.io/part-of": "jupyterlabdemo-doctor",
}
DNS = ("hub.jupyterlabdemo", "fileserver.jupyterlabdemo.svc.cluster.local")
OPEN = (("hub", f"hub.{NAMESPACE}", "8081"), ("proxy", f"proxy.{NAMESPACE}", "8000"))
OWN_NODE = "the kubelet of its node"
SHUT = (
    ("the Kubernetes API", "$KUBERNETES_SERVICE_HOST", "443"),
    (OWN_NODE, "$HOST_IP", "10250"),
    ("the proxy's API", f"proxy-api.{NAMESPACE}", "8001"),
    ("the fileserver's API", f"fileserver.{NAMESPACE}", "8080"),
    ("the metadata service of the cloud (169.254.169.254)", "169.254.169.254", "80"),
)
NFS = ("NFS", f"fileserver.{NAMESPACE}", "2049")


def read_program(name: str) -> str:
    """Return the source of one of the `pod_programs`."""
    return (INSIDE / f"{name}.py").read_text()


def list_targets(objects: Objects) -> dict[str, list[list[str]]]:
    """Return the names that the probe resolves, and the addresses that it must reach and must not reach."""
    api = look_up(objects.find("Service", "kubernetes", "default"), "spec", "ports", default=[{}])
    port = str(api[0].get("port", 443))
    shut = [[label, host, port if host == "$KUBERNETES_SERVICE_HOST" else number] for label, host, number in SHUT]
    if objects.serves_nfs:
        shut.append(list(NFS))
    return {"names": [[name, name] for name in DNS], "open": [list(row) for row in OPEN], "shut": shut}


def build_pod(name: str, image: str, objects: Objects) -> Object:
    """Return the pod of the probe, with the restrictions of a lab's pod."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": LABS, "labels": LABELS},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 1,
            # Kubernetes ends the pod after this time, even if the doctor was killed.
            "activeDeadlineSeconds": 60,
            # With the defaults, a name server that does not answer costs 20 s: the probe would exceed START_SECONDS.
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
    """Run the probe, return its output, and remove it in any case."""
    name = f"doctor-{secrets.token_hex(4)}"
    here = ["--namespace", LABS]
    try:
        created = kubectl.run("create", "--filename", "-", stdin=json.dumps(build_pod(name, image, objects)))
        if created.status:
            return created
        wait = ["wait", f"pod/{name}", *here, "--for=jsonpath={.status.phase}=Succeeded"]
        done = kubectl.run(*wait, f"--timeout={START_SECONDS}s", seconds=START_SECONDS + 5)
        return find_reason(kubectl, name, done) if done.status else kubectl.run("logs", name, *here)
    finally:
        remove_pods(kubectl, name)


def find_reason(kubectl: Kubectl, name: str, failed: Answer) -> Answer:
    """Return the answer of a probe that did not finish, with the reason."""
    found = kubectl.get("pod", name, "--namespace", LABS).read()
    state = look_up(found, "status", "containerStatuses", default=[{}])[0].get("state", {})
    waiting = look_up(state, "waiting", "message") or look_up(state, "waiting", "reason")
    messages = [condition.get("message", "") for condition in look_up(found, "status", "conditions", default=[])]
    log = kubectl.run("logs", name, "--namespace", LABS).out if "terminated" in state else ""
    reason = waiting or next(filter(None, [*messages, log]), failed.reason)
    return Answer(failed.status, "", str(reason))


def remove_pods(kubectl: Kubectl, *which: str) -> None:
    """Delete a probe. Without a name, delete the probes that killed doctors left behind."""
    chosen = which or ("--selector", "app.kubernetes.io/name=doctor", "--field-selector", "status.phase!=Running")
    kubectl.run("delete", "pod", *chosen, "--namespace", LABS, "--ignore-not-found", "--wait=false", "--now")
