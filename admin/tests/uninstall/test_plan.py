"""Tests of the plan of an uninstallation: it deletes every object of a site except those with data."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from labadmin.configure.site_writer import OBJECT_FILES
from labadmin.objects import DATA_CLAIMS, LABS, NAMESPACE, Object, Objects, manifests, name_of, namespace_of
from labadmin.uninstall.plan import SETTINGS, Plan, create_plan, format_plan

from admin.tests.doctor.faults import with_hostpath
from admin.tests.doctor.site import COMPONENTS, Site, new_object

LAB_LABELS = {"app.kubernetes.io/part-of": NAMESPACE, "app.kubernetes.io/component": "lab"}
Name = tuple[str, str, str]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return a site with a running lab."""
    found = Site(tmp_path)
    lab = new_object("Pod", "lab-5000", LABS)
    lab["metadata"]["labels"] = LAB_LABELS
    found.items.append(lab)
    return found


def plan_of(site: Site) -> Plan:
    """Return the plan for a site."""
    return create_plan(Objects(site.items))


def key(item: Object) -> Name:
    """Return kind, namespace and name of an object."""
    return item["kind"], namespace_of(item), name_of(item)


def deleted(plan: Plan) -> set[Name]:
    """Return all objects that a plan deletes itself."""
    return {key(item) for stage in plan.stages for item in stage}


KEPT: set[Name] = {
    ("Namespace", "", NAMESPACE),
    *(("PersistentVolumeClaim", NAMESPACE, name) for name in DATA_CLAIMS),
    ("ValidatingAdmissionPolicy", "", "jupyterlabdemo-data"),
    ("ValidatingAdmissionPolicyBinding", "", "jupyterlabdemo-data"),
}


def test_each_object_of_the_manifests_is_deleted_or_holds_data(site: Site) -> None:
    applied = {key(item) for component in COMPONENTS for item in manifests(f"{component}/kubernetes")}
    # Kubernetes deletes the objects in the labs' namespace together with the namespace.
    in_labs = {found for found in applied if found[1] == LABS}
    gone = deleted(plan_of(site))
    assert applied >= KEPT
    assert gone & applied == applied - KEPT - in_labs
    assert ("Namespace", "", LABS) in gone


def test_no_volume_with_data_is_deleted(site: Site) -> None:
    plan = plan_of(site)
    assert [name_of(volume) for volume in plan.volumes] == ["volume-of-fileserver", "volume-of-hub"]
    assert not deleted(plan) & {key(item) for item in (*plan.claims, *plan.volumes)}


def test_hub_is_deleted_first_then_labs_then_fileserver(site: Site) -> None:
    order = [key(item)[::2] for stage in plan_of(site).stages for item in stage]
    wanted = [("Deployment", "hub"), ("Pod", "lab-5000"), ("Namespace", LABS), ("Deployment", "fileserver")]
    assert [name for name in order if name in wanted] == wanted


def test_in_a_namespace_of_another_name_only_labs_are_deleted(site: Site) -> None:
    """The manifests lack this namespace, so other applications may use it. Its claims use the site's volumes."""
    site.config("hub", {"LAB_NAMESPACE": "notebooks"})
    lab, other = new_object("Pod", "lab-7000", "notebooks"), new_object("Pod", "other", "notebooks")
    lab["metadata"]["labels"] = LAB_LABELS
    site.items += [lab, other, new_object("Namespace", "notebooks", "")]
    for name in ("home", "project"):
        site.find("PersistentVolume", f"jupyterlabdemo-{name}")["spec"]["claimRef"] = {"namespace": "notebooks"}
    plan = plan_of(site)
    assert plan.labs == ("lab-7000",)
    in_use = {("Pod", "notebooks", "other"), ("Namespace", "", "notebooks")}
    in_use |= {("PersistentVolume", "", f"jupyterlabdemo-{name}") for name in ("home", "project")}
    assert not deleted(plan) & in_use


def test_unrelated_objects_are_kept(site: Site) -> None:
    others = [new_object(kind, "other") for kind in ("Deployment", "Secret", "ConfigMap", "Service")]
    others += [
        new_object("ClusterRole", "other", ""),
        new_object("Secret", "hub", "other"),
        new_object("Pod", "x", LABS),
    ]
    site.items += others
    assert not deleted(plan_of(site)) & {key(item) for item in others}


def test_settings_without_labels_are_deleted(site: Site) -> None:
    site.remove("Secret", "hub")
    site.secret("hub", {"JUPYTERHUB_CRYPT_KEY": b"created by hand"})
    assert ("Secret", NAMESPACE, "hub") in deleted(plan_of(site))


def test_objects_written_by_configure_are_known() -> None:
    kinds = {"configmap": "ConfigMap", "secret": "Secret"}
    files = [file.removesuffix(".yaml").rpartition("-") for file in OBJECT_FILES]
    assert {(kinds[kind], name) for name, _, kind in files} == {
        (kind, name) for kind, names in SETTINGS.items() for name in names
    }


def test_plan_lists_deleted_and_kept_objects(site: Site) -> None:
    lines = list(format_plan(plan_of(site)))
    before, after = lines[: lines.index("It keeps:")], lines[lines.index("It keeps:") :]
    assert before[:2] == ["It deletes:", "  1 running labs"]
    assert f"  Deployment nginx in {NAMESPACE}" in before
    assert any("PersistentVolumeClaim fileserver" in line and "volume-of-fileserver" in line for line in after)
    assert not any("PersistentVolumeClaim" in line for line in before)


def test_plan_names_the_folders_of_a_site_without_nfs(site: Site) -> None:
    with_hostpath(site)
    for name in ("home", "project"):
        volume = site.find("PersistentVolume", f"jupyterlabdemo-{name}")
        volume["spec"]["hostPath"] = {"path": f"/var/lib/jupyterlabdemo/{name}"}
    assert "  the folder /var/lib/jupyterlabdemo/home of the node" in format_plan(plan_of(site))


def test_missing_kubectl_is_reported(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "labadmin", "uninstall", "--yes"],
        env=os.environ | {"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("uninstall: found no kubectl on the PATH")
