"""A healthy deployment as kubectl reports it: the manifests, the objects of a site, and their status."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from labadmin.doctor.catalogue import CHECKS
from labadmin.doctor.cluster_state import ClusterState
from labadmin.doctor.findings import Status, Verdict
from labadmin.kubectl import Answer
from labadmin.objects import LABS, NAMESPACE, Object, Objects, look_up, manifests, name_of, namespace_of
from labtesting.certificates import Authority

HOST = "lab.example.org"
TOKEN = b"the-token-of-the-fileserver"
NOW = float(int(datetime.now(UTC).timestamp()))
COMPONENTS = ("hub", "fileserver", "nginx", "logstashrmq", "filebeat")
REFUSED = (
    'Error from server (Forbidden): error when creating "STDIN": pods "doctor-privileged" is forbidden: violates'
    ' PodSecurity "restricted:latest": privileged (container "x" must not set securityContext.privileged=true)'
)
DENIED = (
    "Warning: deleting cluster-scoped resources, not scoped to the provided namespace\n"
    'Error from server (Forbidden): namespaces "jupyterlabdemo" is forbidden: ValidatingAdmissionPolicy'
    " 'jupyterlabdemo-data' with binding 'jupyterlabdemo-data' denied request: the namespace jupyterlabdemo contains\n"
)
CHECKED = """ok      rabbit: name resolution: 10.0.0.5
ok      rabbit: TLS: port 5671, TLSv1.3, its certificate is trusted
ok      rabbit: login, virtual host, exchange: as logs at /, logs
ok      rabbit: a confirmed message: to logs/logs
"""
APP = {"url": "https://github.com/login/oauth/access_token", "status": 200, "error": "bad_verification_code"}
API = {"url": "https://api.github.com/", "status": 200, "error": ""}
STORAGE = {
    "labfiles_nfs_up": 1.0,
    "labfiles_nfs_answer_seconds": 0.002,
    "labfiles_storage_bytes": 1e12,
    "labfiles_storage_available_bytes": 5e11,
    "labfiles_storage_inodes": 1e6,
    "labfiles_storage_available_inodes": 9e5,
}


def stamp(seconds: float) -> str:
    """Return a time in the format of Kubernetes, counted from now in seconds."""
    return datetime.fromtimestamp(NOW + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def answer(out: object, status: int = 0, err: str = "") -> Answer:
    """Return the result of a command as the doctor stores it. The command ran just now."""
    return Answer(status, out if isinstance(out, str) else json.dumps(out), err, NOW - 0.2, NOW + 0.2)


def answers() -> dict[str, Answer]:
    """Return the results of the doctor's programs in a healthy deployment."""
    shut = dict.fromkeys(("the Kubernetes API", "the kubelet of its node", "NFS"), "timed out")
    probe = {"time": NOW, "names": {"hub.jupyterlabdemo": ""}, "open": {"hub": "", "proxy": ""}, "shut": shut}
    hub = {
        "fileserver": [404, "Not Found"],
        "time": NOW,
        "health": 200,
        "said": "",
        "metrics": "",
        "labs": {'state="running"': 3.0},
        "watch_age": 1.0,
    }
    return {
        "privileged": answer("", 1, REFUSED),
        "deletion": answer("", 1, DENIED),
        "time": answer({"metadata": {"creationTimestamp": stamp(0)}}),
        "probe": answer(probe),
        "hub": answer(hub),
        "storage": answer(STORAGE),
        "github": answer({"unknown": [], "token": APP, "api": API}),
        "broker": answer(CHECKED),
        "front": answer({HOST: {"status": 200}}),
    }


@dataclass
class Site:
    """A deployment that tests can break.

    Attributes
    ----------
    folder
        Folder for certificates.
    """

    folder: Path
    items: list[Object] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=answers)
    logs: dict[str, str] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    version: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.authority = Authority(self.folder)
        self.version = {name: {"gitVersion": "v1.36.3"} for name in ("clientVersion", "serverVersion")}
        for component in COMPONENTS:
            for item in manifests(f"{component}/kubernetes"):
                if not self.all(item["kind"], name_of(item), namespace_of(item)):
                    self.items.append(copy.deepcopy(item))
        for item in list(self.items):
            if item["kind"] in {"Deployment", "DaemonSet"}:
                self.items.append(run(item))
            elif item["kind"] == "PersistentVolumeClaim":
                item["status"] = {"phase": "Bound"}
                if "volumeName" not in item["spec"]:
                    self.items.append(bind(item))
        self.find("Service", "nginx")["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}
        self.items += cluster()
        self.add_settings()

    def add_settings(self) -> None:
        """Add the site's ConfigMaps and Secrets."""
        settings = {
            "GITHUB_CLIENT_ID": "an-id",
            "OAUTH_CALLBACK_URL": f"https://{HOST}/hub/oauth_callback",
            "GITHUB_ORGANIZATION_WHITELIST": "lsst-sqre",
        }
        keys = ("JUPYTERHUB_CRYPT_KEY", "CONFIGPROXY_AUTH_TOKEN", "GITHUB_CLIENT_SECRET")
        self.config("hub", settings)
        self.config("nginx", {"NGINX_SERVER_NAME": HOST})
        self.config("logstashrmq", {"AMQP_HOST": "rabbit", "AMQP_USER": "logs", "AMQP_EXCHANGE": "logs"})
        self.secret("hub", dict.fromkeys(keys, b"something") | {"FILESERVER_TOKEN": TOKEN})
        self.secret("fileserver", {"FILESERVER_TOKEN": TOKEN})
        self.secret("logstashrmq", {"AMQP_PASSWORD": b"a-password"})
        for name, host in (("nginx-tls", HOST), ("logstashrmq-tls", "logstashrmq"), ("filebeat-tls", "filebeat")):
            self.certificate(name, host)

    def certificate(
        self,
        name: str,
        host: str,
        authority: Authority | None = None,
        *,
        start: timedelta = timedelta(days=-1),
        end: timedelta = timedelta(days=80),
    ) -> None:
        """Write a certificate into a Secret."""
        self.authority.file.parent.mkdir(exist_ok=True)
        (authority or self.authority).write(self.folder / name, host, start=start, end=end)
        data = {key: (self.folder / name / key).read_bytes() for key in ("tls.crt", "tls.key")}
        self.secret(name, data | {"ca.crt": self.authority.file.read_bytes()})

    def config(self, name: str, data: dict[str, str]) -> None:
        """Add or replace a ConfigMap."""
        self.remove("ConfigMap", name)
        self.items.append(new_object("ConfigMap", name) | {"data": data})

    def secret(self, name: str, data: dict[str, bytes]) -> None:
        """Add or replace a Secret."""
        self.remove("Secret", name)
        stored = {key: base64.b64encode(value).decode() for key, value in data.items()}
        self.items.append(new_object("Secret", name) | {"data": stored})

    def all(self, kind: str, name: str, namespace: str = "") -> list[Object]:
        """Return all objects with a kind and a name."""
        return [
            item
            for item in self.items
            if (item["kind"], name_of(item)) == (kind, name) and namespace in {"", namespace_of(item)}
        ]

    def find(self, kind: str, name: str) -> Object:
        """Return an object that must exist."""
        return self.all(kind, name)[0]

    def remove(self, kind: str, *names: str) -> None:
        """Remove the objects of a kind with these names."""
        gone = [item for name in names for item in self.all(kind, name)]
        self.items = [item for item in self.items if item not in gone]

    def without(self, component: str) -> None:
        """Remove a component and its Secrets."""
        label = "app.kubernetes.io/component"
        self.items = [
            item for item in self.items if look_up(item, "metadata", "labels", default={}).get(label) != component
        ]
        self.remove("Secret", component, f"{component}-tls")

    def pod(self, workload: str) -> Object:
        """Return the pod of a workload."""
        return self.find("Pod", f"{workload}-0")

    def stop(self, workload: str, state: Object | None = None, restarts: int = 0) -> Object:
        """Stop the first container of a workload, and return its pod."""
        found, kind = next((item, kind) for kind in ("Deployment", "DaemonSet") for item in self.all(kind, workload))
        found["status"] |= {"availableReplicas": 0} if kind == "Deployment" else {"numberAvailable": 0}
        pod = self.pod(workload)
        pod["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
        pod["status"]["containerStatuses"][0] |= {"ready": False, "state": state or {}, "restartCount": restarts}
        return pod

    def warn(self, about: Object, message: str) -> None:
        """Add a Kubernetes event of type Warning about an object."""
        involved = {"uid": about["metadata"].setdefault("uid", "a-uid")}
        event = new_object("Event", "an-event", namespace_of(about))
        self.items.append(event | {"type": "Warning", "message": message, "involvedObject": involved})

    def change(self, name: str, **changes: Any) -> None:
        """Change fields in the result of one of the doctor's programs."""
        self.answers[name] = answer(self.answers[name].read() | changes)

    def state(self) -> ClusterState:
        """Return the state that the checks read."""
        return ClusterState(Objects(self.items), NOW, self.version, self.unread, self.answers, self.logs)

    def judge(self, name: str) -> list[Verdict]:
        """Run one check."""
        (check,) = (check for check in CHECKS if check.name == name)
        return list(check.judge(self.state()))

    def messages(self, name: str, *statuses: Status) -> str:
        """Return the messages of one check's verdicts with these statuses."""
        return "\n".join(verdict.what for verdict in self.judge(name) if verdict.status in statuses)


Change = Callable[[Site], object]


def new_object(kind: str, name: str, namespace: str = NAMESPACE) -> Object:
    """Return an empty object."""
    return {"kind": kind, "metadata": {"name": name, "namespace": namespace}}


def run(workload: Object) -> Object:
    """Mark a workload as rolled out, and return its pod."""
    if workload["kind"] == "Deployment":
        wanted = workload["spec"].setdefault("replicas", 2)
        counts = {"replicas": wanted, "updatedReplicas": wanted, "availableReplicas": wanted}
    else:
        counts = {"desiredNumberScheduled": 1, "updatedNumberScheduled": 1, "numberAvailable": 1}
    workload["metadata"]["generation"] = 1
    workload["status"] = counts | {"observedGeneration": 1}
    template = workload["spec"]["template"]
    states = [
        {"name": container["name"], "ready": True, "restartCount": 0, "state": {"running": {}}}
        for container in template["spec"]["containers"]
    ]
    pod = new_object("Pod", f"{name_of(workload)}-0", namespace_of(workload))
    pod["metadata"] |= {"labels": template["metadata"]["labels"], "uid": f"uid-of-{name_of(workload)}"}
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": states}
    return pod | {"status": status}


def bind(claim: Object) -> Object:
    """Bind a claim to a new volume, and return the volume."""
    name = f"volume-of-{name_of(claim)}"
    claim["spec"]["volumeName"] = name
    volume = new_object("PersistentVolume", name, "")
    volume["metadata"]["creationTimestamp"] = stamp(-86400)
    reference = {"name": name_of(claim), "namespace": namespace_of(claim)}
    return volume | {"spec": {"claimRef": reference, "persistentVolumeReclaimPolicy": "Retain"}}


def cluster() -> list[Object]:
    """Return the objects that exist in a cluster before the deployment, for example a node."""
    node = new_object("Node", "node0", "") | {
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "False"}],
            "features": {"supplementalGroupsPolicy": True},
            "nodeInfo": {"containerRuntimeVersion": "containerd://2.1.4"},
        }
    }
    return [
        node,
        new_object("CSIDriver", "nfs.csi.k8s.io", ""),
        new_object("CSINode", "node0", "") | {"spec": {"drivers": [{"name": "nfs.csi.k8s.io"}]}},
        new_object("Lease", "node0", "kube-node-lease") | {"spec": {"renewTime": stamp(-4)}},
        new_object("Namespace", LABS + "-not", ""),
    ]
