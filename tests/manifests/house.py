# ruff: noqa: D401  (the first line of a rule is the rule)
"""The rules that every component's manifests keep; docs/dev/kubernetes.md gives their reasons.

A rule takes a folder and gives what is wrong in it. Its name is the function's. Where a manifest cannot keep a rule, a
comment inside the block or directly above it says so, `# exception RULE: reason`, and KNOWN_EXCEPTIONS says who may.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import kubernetes_validate  # type: ignore[import-untyped]

from tests.manifests.manifest import Block, Folder, Manifest, part
from tools.components import image_name, version

KUBERNETES = "1.36"
NAMESPACES: set[str | None] = {"jupyterlabdemo", "jupyterlabdemo-labs"}
# Kinds that lie in no namespace, as far as components have them.
CLUSTER_WIDE = {"ClusterRole", "ClusterRoleBinding", "Namespace", "PriorityClass", "StorageClass", "PersistentVolume"}
ENDS_BY_ITSELF = {"Job", "CronJob"}
LABEL = "app.kubernetes.io/"
PART_OF = "jupyterlabdemo"
PROBES = {"startupProbe", "readinessProbe", "livenessProbe"}
EXCEPTION = re.compile(r"exception ([a-z-]+): \S+")
# Which component may break which rule; why, the manifest says.
KNOWN_EXCEPTIONS = {
    "filebeat": {"nothing-of-the-node", "run-as-non-root"},
    "fileserver": {"run-as-non-root", "capabilities", "seccomp"},
    "hub": {"run-as-non-root", "capabilities", "no-secret-in-environment", "probes"},
}


@dataclass(frozen=True)
class Complaint:
    """What is wrong, and with which block of which object."""

    about: Manifest | Path
    message: str
    block: Block | None = None

    def __str__(self) -> str:
        line = f", line {self.block.first}" if self.block else ""
        return f"{self.about}{line}: {self.message}"

    @property
    def exceptions(self) -> set[str]:
        """The rules that the manifest says it breaks here."""
        if isinstance(self.about, Path):
            return set()
        return exceptions(self.about.comments(self.block or self.about.body))


def exceptions(comments: list[str]) -> set[str]:
    """Give the rules that comments name an exception to, with a reason."""
    return {found[1] for found in map(EXCEPTION.match, comments) if found}


Rule = Callable[[Folder], Iterator[Complaint]]


def one_object_per_file(folder: Folder) -> Iterator[Complaint]:
    """A file holds one object and is named for its kind: `deployment.yaml`, `proxy-deployment.yaml`."""
    for file in folder.files:
        inside = [manifest for manifest in folder.manifests if manifest.file == file.relative_to(folder.root)]
        if len(inside) != 1:
            yield Complaint(file.relative_to(folder.root), f"found {len(inside)} objects, wanted one, in a .yaml")
        elif file.stem.split("-")[-1] != (kind := inside[0].kind.lower()):
            yield Complaint(inside[0], f"wanted the name {kind}.yaml, or one that ends in -{kind}.yaml")


def no_kustomization(folder: Folder) -> Iterator[Complaint]:
    """`kubectl apply -f` takes a kustomization.yaml for an object."""
    for file in folder.files:
        if file.stem.lower() == "kustomization":
            yield Complaint(file.relative_to(folder.root), "`kubectl apply -f` takes it for an object")


def schema(folder: Folder) -> Iterator[Complaint]:
    """Every key is known to Kubernetes, and its value is of the right type."""
    for manifest in folder.manifests:
        try:
            kubernetes_validate.validate(manifest.body, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            where = ".".join(map(str, error.absolute_path)) or "the object"
            yield Complaint(manifest, f"{where}: {error.message}")
        except (KeyError, kubernetes_validate.SchemaNotFoundError):
            found = f"{manifest.body.get('apiVersion')} {manifest.kind}"
            yield Complaint(manifest, f"found {found}, which Kubernetes {KUBERNETES} does not know")


def same_namespace_file(folder: Folder) -> Iterator[Complaint]:
    """Every folder carries the same 00-namespace.yaml, so that each can be applied first; the labs' too."""
    first = folder.path / "00-namespace.yaml"
    if not first.exists():
        yield Complaint(first.relative_to(folder.root), "it is not there; every folder carries it")
    for file in sorted(folder.path.glob("*namespace.yaml")):
        for other in sorted(folder.root.glob(f"*/kubernetes/{file.name}")):
            if other.read_text() != file.read_text():
                yield Complaint(file.relative_to(folder.root), f"it differs from {other.relative_to(folder.root)}")


def namespaces_first(folder: Folder) -> Iterator[Complaint]:
    """Kubectl applies files by the order of their names: a namespace comes before what lies in it."""
    places = {manifest.name: manifest.file for manifest in folder.manifests if manifest.kind == "Namespace"}
    for manifest in folder.manifests:
        place = places.get(str(manifest.metadata.get("namespace")), manifest.file)
        if manifest.file < place:
            yield Complaint(manifest, f"kubectl applies it before {place.name}, which makes its namespace")


def namespace(folder: Folder) -> Iterator[Complaint]:
    """Every object names one of our namespaces."""
    for manifest in folder.manifests:
        found, wanted = manifest.metadata.get("namespace"), NAMESPACES
        if manifest.kind == "Namespace":
            found = manifest.name
        elif manifest.kind in CLUSTER_WIDE:
            wanted = {None}
        if found not in wanted:
            yield Complaint(manifest, f"found namespace {found}, wanted {' or '.join(sorted(map(str, wanted)))}")


def labels(folder: Folder) -> Iterator[Complaint]:
    """Every object and pod says what it is, of which component, and of which version of the project."""
    for manifest in folder.manifests:
        for block in filter(None, (manifest.body, manifest.template)):
            found = part(block, "metadata", "labels")
            wanted = {"part-of": PART_OF}
            if manifest.kind != "Namespace":  # which belongs to no component
                wanted |= {"version": version(), "name": found.get(f"{LABEL}name") or "something"}
                wanted |= {"component": found.get(f"{LABEL}component") or "something"}
            for name, value in wanted.items():
                if (has := found.get(LABEL + name)) != value:
                    yield Complaint(manifest, f"label {LABEL}{name}: found {has}, wanted {value}", block)


def selectors(folder: Folder) -> Iterator[Complaint]:
    """A workload selects by name and component, which no release changes, and so the pods that it makes."""
    for manifest in folder.manifests:
        if manifest.template is None or manifest.kind in ENDS_BY_ITSELF:
            continue
        selector = part(manifest.body, "spec", "selector", "matchLabels")
        made = part(manifest.template, "metadata", "labels")
        wanted = {LABEL + name: made.get(LABEL + name) for name in ("name", "component")}
        if selector != wanted:
            yield Complaint(manifest, f"found the selector {dict(selector)}, wanted {wanted}", selector)


def no_secret(folder: Folder) -> Iterator[Complaint]:
    """A Secret is named, never contained."""
    for manifest in folder.manifests:
        if manifest.kind == "Secret":
            yield Complaint(manifest, "a Secret is the site's: name it, leave it out")


def no_site_settings(folder: Folder) -> Iterator[Complaint]:
    """The ConfigMap with a site's settings is the site's: applying our folder again would undo them."""
    for manifest in folder.manifests:
        if manifest.kind == "ConfigMap" and manifest.name == folder.path.parent.name:
            yield Complaint(manifest, "the ConfigMap of the component's name is the site's: leave it out")


def no_secret_in_environment(folder: Folder) -> Iterator[Complaint]:
    """Secrets are mounted as files: whatever runs in a container inherits its environment."""
    for manifest, container in each_container(folder):
        from_secrets = [
            str(one.get("name")) for one in container.get("env") or [] if "secretKeyRef" in part(one, "valueFrom")
        ]
        from_secrets += [
            str(part(one, "secretRef").get("name")) for one in container.get("envFrom") or [] if "secretRef" in one
        ]
        for name in from_secrets:
            yield Complaint(manifest, f"{name} comes from a Secret into the environment, wanted a file", container)


def images(folder: Folder) -> Iterator[Complaint]:
    """An image is a component's, of the project's version, and is pulled once."""
    ours = {image_name(file.parent.name) for file in Path(__file__).parents[2].glob("*/Dockerfile")}
    for manifest, container in each_container(folder):
        name, _, tag = str(container.get("image")).rpartition(":")
        if name not in ours:
            yield Complaint(
                manifest, f"found the image {name or tag}, wanted one of {', '.join(sorted(ours))}", container
            )
        if tag != version():
            yield Complaint(manifest, f"found the image's tag {tag}, wanted {version()}", container)
        if (policy := container.get("imagePullPolicy")) != "IfNotPresent":
            yield Complaint(manifest, f"imagePullPolicy: found {policy}, wanted IfNotPresent", container)


def run_as_non_root(folder: Folder) -> Iterator[Complaint]:
    """Nothing runs as UID 0."""
    return in_pod_or_container(folder, "runAsNonRoot", True)


def seccomp(folder: Folder) -> Iterator[Complaint]:
    """The runtime's filter of system calls is on."""
    return in_pod_or_container(folder, "seccompProfile", {"type": "RuntimeDefault"})


def capabilities(folder: Folder) -> Iterator[Complaint]:
    """No container holds a capability."""
    return in_container(folder, "capabilities", {"drop": ["ALL"]})


def no_escalation(folder: Folder) -> Iterator[Complaint]:
    """No program in a container gets more rights than the one that starts it."""
    return in_container(folder, "allowPrivilegeEscalation", False)


def read_only_root(folder: Folder) -> Iterator[Complaint]:
    """What a container writes, it writes to a volume."""
    return in_container(folder, "readOnlyRootFilesystem", True)


def nothing_of_the_node(folder: Folder) -> Iterator[Complaint]:
    """A pod sees nothing of its node: no network, process or folder of it, nor its devices."""
    for manifest in folder.manifests:
        if (pod := manifest.pod) is None:
            continue
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            if pod.get(key):
                yield Complaint(manifest, f"{key} is on", pod)
        for volume in pod.get("volumes") or []:
            if "hostPath" in volume:
                yield Complaint(manifest, f"volume {volume.get('name')} is a folder of the node", volume)
        for container in manifest.containers:
            if part(container, "securityContext").get("privileged"):
                yield Complaint(manifest, "privileged is on", container)


def service_account_token(folder: Folder) -> Iterator[Complaint]:
    """A pod gets a token for the API only as an account of its own, which somebody thought about."""
    for manifest in folder.manifests:
        pod = manifest.pod
        if pod is not None and pod.get("automountServiceAccountToken") is not False and "serviceAccountName" not in pod:
            yield Complaint(manifest, "wanted automountServiceAccountToken: false, or a serviceAccountName", pod)


def resources(folder: Folder) -> Iterator[Complaint]:
    """Every container says what it needs, and what it may take at most."""
    for manifest, container in each_container(folder):
        found = part(container, "resources")
        for what in ("requests", "limits"):
            for name in ("cpu", "memory"):
                if name not in part(found, what):
                    yield Complaint(manifest, f"{container.get('name')}: no {what} of {name}", container)


def named_ports(folder: Folder) -> Iterator[Complaint]:
    """Ports have names, and are meant by them."""
    for manifest in folder.manifests:
        blocks = [port for container in manifest.containers for port in container.get("ports") or []]
        if manifest.kind == "Service":
            blocks = part(manifest.body, "spec").get("ports") or []
            for port in blocks:
                if not isinstance(port.get("targetPort"), str):
                    yield Complaint(manifest, f"found targetPort {port.get('targetPort')}, wanted a port's name", port)
        for port in blocks:
            if "name" not in port:
                yield Complaint(manifest, "a port without a name", port)


def metrics(folder: Folder) -> Iterator[Complaint]:
    """What has metrics tells Prometheus where, for one that finds pods by their annotations."""
    for manifest in folder.manifests:
        ports = [port for container in manifest.containers for port in container.get("ports") or []]
        numbers = [str(port.get("containerPort")) for port in ports if port.get("name") == "metrics"]
        told = part(manifest.body, "spec", "template", "metadata", "annotations")
        found = [told[key] for key in ("prometheus.io/port",) if key in told]
        if found != numbers:
            yield Complaint(manifest, f"prometheus.io/port: found {found}, wanted {numbers}", told)


def probes(folder: Folder) -> Iterator[Complaint]:
    """What runs until it is stopped says whether it is ready and alive, on a port by its name."""
    for manifest in folder.manifests:
        if manifest.kind in ENDS_BY_ITSELF:
            continue
        for container in part(manifest.body, "spec", "template", "spec").get("containers") or []:
            for probe in ("readinessProbe", "livenessProbe"):
                if probe not in container:
                    yield Complaint(manifest, f"{container.get('name')}: no {probe}", container)
            names = {port.get("name") for port in container.get("ports") or []}
            for probe in PROBES & set(container):
                for action in ("httpGet", "tcpSocket"):
                    port = part(container, probe, action).get("port")
                    if action in part(container, probe) and port not in names:
                        yield Complaint(manifest, f"{probe}: found port {port}, wanted the name of one", container)


def probe_numbers(folder: Folder) -> Iterator[Complaint]:
    """The numbers of a probe have their reason in a comment: beside each or above it, or for all above the probe."""
    for manifest, container in each_container(folder):
        for probe in sorted(PROBES & set(container)):
            block = part(container, probe)
            for key, value in block.items():
                places = (block.lines[key], container.lines[probe])
                if isinstance(value, int) and not any(map(manifest.comment_beside, places)):
                    yield Complaint(manifest, f"{probe}.{key}: {value}, without a comment that says why", block)


def services_reach_pods(folder: Folder) -> Iterator[Complaint]:
    """A Service selects the pods of one workload of its folder, and a port that they have."""
    for manifest in folder.manifests:
        if manifest.kind != "Service":
            continue
        spec = part(manifest.body, "spec")
        owners = [other for other in folder.manifests if selects(part(spec, "selector"), other)]
        if len(owners) != 1:
            yield Complaint(manifest, f"selects the pods of {len(owners)} workloads, wanted one", spec)
            continue
        names = {port.get("name") for container in owners[0].containers for port in container.get("ports") or []}
        for port in spec.get("ports") or []:
            if (target := port.get("targetPort")) not in names:
                yield Complaint(manifest, f"found targetPort {target}, which {owners[0].file} does not have", port)


def network_policies(folder: Folder) -> Iterator[Complaint]:
    """For every pod something says who comes in."""
    policies = [manifest for manifest in folder.manifests if manifest.kind == "NetworkPolicy"]
    ingress = [one for one in policies if "Ingress" in part(one.body, "spec").get("policyTypes", [])]
    selected = [(one.metadata.get("namespace"), part(one.body, "spec", "podSelector")) for one in ingress]
    for manifest in folder.manifests:
        here = [selector for where, selector in selected if where == manifest.metadata.get("namespace")]
        # An empty selector takes every pod of its namespace.
        chosen = any(not selector or selects(part(selector, "matchLabels"), manifest) for selector in here)
        if manifest.template is not None and not chosen:
            yield Complaint(manifest, "no NetworkPolicy with the type Ingress selects its pods")


def selects(selector: Block, manifest: Manifest) -> bool:
    """Tell whether a selector's labels are among those of the pods that an object makes."""
    if manifest.template is None:
        return False
    return bool(selector) and selector.items() <= part(manifest.template, "metadata", "labels").items()


def each_container(folder: Folder) -> Iterator[tuple[Manifest, Block]]:
    """Give every container of a folder with the object that makes it."""
    return ((manifest, container) for manifest in folder.manifests for container in manifest.containers)


def in_container(folder: Folder, key: str, wanted: object) -> Iterator[Complaint]:
    """Complain of containers whose security context does not say so."""
    for manifest, container in each_container(folder):
        if (found := part(container, "securityContext").get(key)) != wanted:
            yield Complaint(manifest, f"{container.get('name')}: {key}: found {found}, wanted {wanted}", container)


def in_pod_or_container(folder: Folder, key: str, wanted: object) -> Iterator[Complaint]:
    """Complain of containers for which neither their own security context nor the pod's says so."""
    for manifest, container in each_container(folder):
        assert manifest.pod is not None
        pods = part(manifest.pod, "securityContext").get(key)
        if (found := part(container, "securityContext").get(key, pods)) != wanted:
            yield Complaint(manifest, f"{container.get('name')}: {key}: found {found}, wanted {wanted}", container)


RULES: tuple[Rule, ...] = (
    one_object_per_file,
    no_kustomization,
    schema,
    same_namespace_file,
    namespaces_first,
    namespace,
    labels,
    selectors,
    no_secret,
    no_site_settings,
    no_secret_in_environment,
    images,
    run_as_non_root,
    seccomp,
    capabilities,
    no_escalation,
    read_only_root,
    nothing_of_the_node,
    service_account_token,
    resources,
    named_ports,
    metrics,
    probes,
    probe_numbers,
    services_reach_pods,
    network_policies,
)


def rule_name(rule: Rule) -> str:
    """Give the name by which a comment names the rule."""
    return rule.__name__.replace("_", "-")


def violations(folder: Folder, rule: Rule, known: dict[str, set[str]] = KNOWN_EXCEPTIONS) -> list[str]:
    """List what breaks a rule in a folder, less the exceptions that have a reason and are known."""
    name, component = rule_name(rule), folder.path.parent.name
    found: list[str] = []
    for complaint in rule(folder):
        if name not in complaint.exceptions:
            found.append(f"{complaint} ({name})")
        elif name not in known.get(component, set()):
            found.append(f"{complaint} ({name}; the exception is not among KNOWN_EXCEPTIONS of {component})")
    return found


def needless_exceptions(folder: Folder, known: dict[str, set[str]] = KNOWN_EXCEPTIONS) -> list[str]:
    """List exceptions of a folder that excuse nothing: in a comment, or known for it."""
    said = {name for manifest in folder.manifests for name in exceptions(manifest.comments(manifest.body))}
    broken = {rule_name(rule) for rule in RULES if any(rule(folder))}
    return sorted((said | known.get(folder.path.parent.name, set())) - broken)
