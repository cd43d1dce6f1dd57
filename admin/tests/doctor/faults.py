"""The faults of a deployment that the doctor must find. Each fault is a change of a healthy site."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from labadmin.objects import LABS, containers
from labtesting.certificates import Authority

from admin.tests.doctor.site import APP, HOST, NOW, Change, Site, answer, stamp

NOT_READY = [{"type": "Ready", "status": "False", "message": "kubelet stopped posting node status."}]
PRESSED = [{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "True", "message": "full"}]


def then(*changes: Any) -> Change:
    """Return a change that applies several changes."""

    def apply_all(site: Site) -> None:
        for change in changes:
            change(site)

    return apply_all


def node(**status: Any) -> Change:
    return lambda site: site.find("Node", "node0")["status"].update(status)


def reading(**changes: Any) -> Change:
    return lambda site: site.change("storage", **changes)


def github(**changes: Any) -> Change:
    return lambda site: site.change("github", token=APP | changes)


def callback(url: str) -> Change:
    return lambda site: site.find("ConfigMap", "hub")["data"].update(OAUTH_CALLBACK_URL=url)


def relabel(key: str, value: str) -> Change:
    return lambda site: site.find("Namespace", LABS)["metadata"]["labels"].update({key: value})


def certificate(name: str = "nginx-tls", host: str = HOST, start: int = -1, end: int = 80) -> Change:
    """Return a change that adds a certificate. `start` and `end` of its validity are days counted from today."""
    return lambda site: site.certificate(name, host, start=timedelta(days=start), end=timedelta(days=end))


def front(**tried: dict[str, Any]) -> Change:
    return lambda site: site.answers.update(
        front=answer({name.replace("_", "."): reply for name, reply in tried.items()})
    )


def without_key(kind: str, name: str, key: str) -> Change:
    return lambda site: site.find(kind, name)["data"].pop(key)


def with_pending_service(site: Site) -> None:
    site.find("Service", "nginx")["status"] = {"loadBalancer": {}}
    site.answers["front"] = answer({HOST: {"status": 0, "error": "timed out"}})


def with_hostpath(site: Site) -> None:
    """Remove NFS, as fileserver/alternatives/hostpath does."""
    deployment = site.find("Deployment", "fileserver")
    kept = [container for container in containers(deployment) if container["name"] == "labfiles"]
    deployment["spec"]["template"]["spec"]["containers"] = kept
    for name in ("home", "project"):
        site.find("PersistentVolume", f"jupyterlabdemo-{name}")["spec"].pop("csi")


def with_image(name: str, tag: str) -> Change:
    def change(site: Site) -> None:
        for container in containers(site.find("Deployment", name), ("initContainers", "containers")):
            container["image"] = f"registry.example:5000/{container['image'].rpartition(':')[0]}:{tag}"

    return change


def with_foreign_key(site: Site) -> None:
    data = dict(site.state().objects.secret("nginx-tls"))
    Authority(site.folder).write(site.folder / "other", HOST)
    site.secret("nginx-tls", data | {"tls.key": (site.folder / "other/tls.key").read_bytes()})


def with_foreign_authority(site: Site) -> None:
    site.certificate("filebeat-tls", "filebeat", Authority(site.folder))


def crashing(site: Site) -> None:
    site.stop("hub", {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting"}}, 3)
    site.logs["hub-0/hub"] = "labhub: GITHUB_CLIENT_ID: missing, wanted the client id"


def without_image(site: Site) -> None:
    message = 'Back-off pulling image "missing/image:0": not found'
    site.stop("nginx", {"waiting": {"reason": "ImagePullBackOff", "message": message}})


def without_secret(site: Site) -> None:
    pod = site.stop("nginx", {"waiting": {"reason": "ContainerCreating"}})
    site.warn(pod, 'MountVolume.SetUp failed for volume "tls" : secret "nginx-tls" not found')


def without_node(site: Site) -> None:
    pod = site.stop("filebeat")
    full = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 Insufficient cpu."}
    pod["status"] = {"phase": "Pending", "conditions": [full]}


def refused_by_quota(site: Site) -> None:
    site.stop("proxy")
    site.remove("Pod", "proxy-0")
    failure = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: small"}
    site.find("Deployment", "proxy")["status"]["conditions"] = [failure]


def unbound(site: Site) -> None:
    claim = site.find("PersistentVolumeClaim", "hub")
    claim["status"] = {"phase": "Pending"}
    site.warn(claim, "no persistent volumes available for this claim and no storage class is set")


def late(name: str, seconds: float) -> Change:
    return lambda site: site.change(name, time=NOW + seconds)


def lease(seconds: float) -> Change:
    return lambda site: site.find("Lease", "node0")["spec"].update(renewTime=stamp(seconds))


def reached(*names: str) -> Change:
    def change(site: Site) -> None:
        site.change("probe", shut=site.answers["probe"].read()["shut"] | dict.fromkeys(names, ""))

    return change


def gone(*answers: str) -> Change:
    def change(site: Site) -> None:
        for name in answers:
            del site.answers[name]

    return change


def no_answer(name: str) -> Change:
    return lambda site: site.answers.update({name: answer("", 1, "error: unable to upgrade connection")})


def deleted(kind: str) -> Change:
    """Return a change that marks the data policy, or its binding, as deleted. A finalizer keeps the marked object."""
    return lambda site: site.find(kind, "jupyterlabdemo-data")["metadata"].update(deletionTimestamp=stamp(-60))


def reclaiming(claim: str, age: float = 86400) -> Change:
    """Return a change that sets a volume's reclaim policy to `Delete`. `age` is the volume's age in seconds."""

    def change(site: Site) -> None:
        volume = site.find("PersistentVolume", f"volume-of-{claim}")
        volume["spec"]["persistentVolumeReclaimPolicy"] = "Delete"
        volume["metadata"]["creationTimestamp"] = stamp(-age)

    return change
