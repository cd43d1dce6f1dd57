# ruff: noqa: D401  (the first line of a rule is the rule)
"""Rules for files and objects: form, namespaces, labels, what belongs to the site."""

from __future__ import annotations

from collections.abc import Iterator

import kubernetes_validate  # type: ignore[import-untyped]

from tests.manifests.complaint import Complaint
from tests.manifests.manifest import ENDS_BY_ITSELF, Folder, part
from tools.components import version

KUBERNETES = "1.36"
NAMESPACES: set[str | None] = {"jupyterlabdemo", "jupyterlabdemo-labs"}
# The cluster-scoped kinds that the components use
CLUSTER_WIDE = {"ClusterRole", "ClusterRoleBinding", "Namespace", "PriorityClass", "StorageClass", "PersistentVolume"}
LABEL = "app.kubernetes.io/"
PART_OF = "jupyterlabdemo"


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
