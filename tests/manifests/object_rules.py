# ruff: noqa: D401  (the docstring of a rule states the rule)
"""Rules for the files and objects of manifests: file names, schema, namespaces, labels, settings of the site."""

from __future__ import annotations

from collections.abc import Iterator

import kubernetes_validate  # type: ignore[import-untyped]

from tests.manifests.complaint import Complaint
from tests.manifests.manifest import RUN_TO_COMPLETION, Folder, part
from tools.components import version

KUBERNETES = "1.36"
NAMESPACES: set[str | None] = {"jupyterlabdemo", "jupyterlabdemo-labs"}
# The kinds of cluster-scoped objects that the components use
CLUSTER_WIDE = {
    "ClusterRole",
    "ClusterRoleBinding",
    "Namespace",
    "PersistentVolume",
    "PriorityClass",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}
LABEL = "app.kubernetes.io/"
PART_OF = "jupyterlabdemo"


def one_object_per_file(folder: Folder) -> Iterator[Complaint]:
    """Each file contains one object. The file's name ends in the kind: `deployment.yaml`, `proxy-deployment.yaml`."""
    for file in folder.files:
        objects = [manifest for manifest in folder.manifests if manifest.file == file.relative_to(folder.root)]
        if len(objects) != 1:
            yield Complaint(file.relative_to(folder.root), f"found {len(objects)} objects, wanted one in a .yaml file")
        elif file.stem.split("-")[-1] != (kind := objects[0].kind.lower()):
            yield Complaint(objects[0], f"wanted the file name {kind}.yaml, or a name that ends in -{kind}.yaml")


def no_kustomization(folder: Folder) -> Iterator[Complaint]:
    """No folder contains a kustomization.yaml, because `kubectl apply -f` would treat the file as an object."""
    for file in folder.files:
        if file.stem.lower() == "kustomization":
            yield Complaint(file.relative_to(folder.root), "`kubectl apply -f` treats the file as an object, delete it")


def schema(folder: Folder) -> Iterator[Complaint]:
    """Each key of a manifest exists in the schema of Kubernetes, and each value has the type of the schema."""
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
    """The file 00-namespace.yaml is identical in all folders, so that any folder can be applied first.

    All copies of labs-namespace.yaml are identical, too.
    """
    first = folder.path / "00-namespace.yaml"
    if not first.exists():
        yield Complaint(first.relative_to(folder.root), "missing, copy the file from another component")
    for file in sorted(folder.path.glob("*namespace.yaml")):
        for other in sorted(folder.root.glob(f"*/kubernetes/{file.name}")):
            if other.read_text() != file.read_text():
                yield Complaint(file.relative_to(folder.root), f"differs from {other.relative_to(folder.root)}")


def namespaces_first(folder: Folder) -> Iterator[Complaint]:
    """The file of a Namespace sorts before the files of objects in the namespace.

    kubectl applies files in the order of their names.
    """
    files = {manifest.name: manifest.file for manifest in folder.manifests if manifest.kind == "Namespace"}
    for manifest in folder.manifests:
        file = files.get(str(manifest.metadata.get("namespace")), manifest.file)
        if manifest.file < file:
            yield Complaint(manifest, f"kubectl applies it before {file.name}, which creates its namespace")


def namespace(folder: Folder) -> Iterator[Complaint]:
    """Each namespaced object names one of our namespaces. Cluster-scoped objects do not name a namespace."""
    for manifest in folder.manifests:
        found, wanted = manifest.metadata.get("namespace"), NAMESPACES
        if manifest.kind == "Namespace":
            found = manifest.name
        elif manifest.kind in CLUSTER_WIDE:
            wanted = {None}
        if found not in wanted:
            yield Complaint(manifest, f"found namespace {found}, wanted {' or '.join(sorted(map(str, wanted)))}")


def labels(folder: Folder) -> Iterator[Complaint]:
    """Objects and pods have labels for the program, the component, the project and the project's version."""
    for manifest in folder.manifests:
        for block in filter(None, (manifest.body, manifest.template)):
            found = part(block, "metadata", "labels")
            wanted = {"part-of": PART_OF}
            if manifest.kind != "Namespace":  # a Namespace is common to all components
                wanted |= {"version": version(), "name": found.get(f"{LABEL}name") or "something"}
                wanted |= {"component": found.get(f"{LABEL}component") or "something"}
            for name, value in wanted.items():
                if (actual := found.get(LABEL + name)) != value:
                    yield Complaint(manifest, f"label {LABEL}{name}: found {actual}, wanted {value}", block)


def selectors(folder: Folder) -> Iterator[Complaint]:
    """Workloads select their pods by the labels `name` and `component`, which do not change between releases."""
    for manifest in folder.manifests:
        if manifest.template is None or manifest.kind in RUN_TO_COMPLETION:
            continue
        selector = part(manifest.body, "spec", "selector", "matchLabels")
        found = part(manifest.template, "metadata", "labels")
        wanted = {LABEL + name: found.get(LABEL + name) for name in ("name", "component")}
        if selector != wanted:
            yield Complaint(manifest, f"found the selector {dict(selector)}, wanted {wanted}", selector)


def no_secret(folder: Folder) -> Iterator[Complaint]:
    """Manifests refer to Secrets by name and do not contain them."""
    for manifest in folder.manifests:
        if manifest.kind == "Secret":
            yield Complaint(manifest, "a Secret belongs to the site, refer to it by name instead")


def no_site_settings(folder: Folder) -> Iterator[Complaint]:
    """No ConfigMap has the name of the component.

    A ConfigMap with this name contains the settings of the site, which the next apply of the folder would overwrite.
    """
    for manifest in folder.manifests:
        if manifest.kind == "ConfigMap" and manifest.name == folder.path.parent.name:
            yield Complaint(manifest, "the ConfigMap with the component's name belongs to the site, delete it here")
