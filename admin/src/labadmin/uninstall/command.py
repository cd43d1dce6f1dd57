"""The command `labadmin uninstall`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from labadmin.kubectl import Kubectl
from labadmin.objects import (
    ALLOW_DELETION,
    NAMESPACE,
    Object,
    Objects,
    look_up,
    name_of,
    namespace_of,
)
from labadmin.uninstall.plan import CLUSTER_KINDS, KINDS, Plan, create_plan, format_kept, format_plan, labs_namespace

SUMMARY = "remove the site from the cluster and keep its data"
DESCRIPTION = (
    "Remove the site from the cluster in kubectl's current context, and keep the claims with the homes, the project "
    "folders and the database of the hub. Without --yes the command only prints what it would delete. "
    "docs/admin/uninstall.md describes how to come back, and how to delete the data."
)
OK, FAILED = 0, 1
# Limit in seconds for the deletion of an object: a pod of a lab needs some time to end.
WAIT_SECONDS = 180
READ = (
    ("namespace,persistentvolume",),
    (",".join(CLUSTER_KINDS).lower(),),
    (",".join(["PersistentVolumeClaim", *KINDS]).lower(), "--namespace", NAMESPACE),
)


class UninstallError(Exception):
    """A failed command. The message has the step and the reason."""


def read_objects(kubectl: Kubectl) -> Objects:
    """Read all objects of the kinds that a site uses. Some of them can belong to other applications.

    Raises
    ------
    UninstallError
        Raised if the API does not answer, or refuses the request.
    """
    items: list[Object] = []
    for what in READ:
        items += read_list(kubectl, *what)
    return Objects([*items, *read_list(kubectl, "pods", "--namespace", labs_namespace(Objects(items)))])


def read_list(kubectl: Kubectl, *what: str) -> list[Object]:
    """Return a list of objects. Raise an UninstallError if that is not possible."""
    answer = kubectl.get(*what)
    if answer.status:
        raise UninstallError(f"cannot read {what[0]}: {answer.reason}")
    found: list[Object] = look_up(answer.read(), "items", default=[])
    return found


def retain_volumes(kubectl: Kubectl, plan: Plan) -> None:
    """Set the reclaim policy of the volumes with data to `Retain`. The CronJob may not have run yet."""
    for volume in plan.volumes:
        if look_up(volume, "spec", "persistentVolumeReclaimPolicy") != "Retain":
            patch = '{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}'
            check(kubectl, f"retain the volume {name_of(volume)}", "patch", "pv", name_of(volume), "--patch", patch)


def check(kubectl: Kubectl, step: str, *arguments: str) -> None:
    """Run a kubectl command. Raise an UninstallError if it fails."""
    answer = kubectl.run(*arguments, seconds=WAIT_SECONDS + 20)
    if answer.status:
        raise UninstallError(f"cannot {step}: {answer.reason}")


def delete(kubectl: Kubectl, stage: Sequence[Object]) -> None:
    """Delete objects, and wait until they and their pods are gone."""
    for item in stage:
        if item["kind"] == "Namespace":
            allow = ("annotate", "namespace", name_of(item), f"{ALLOW_DELETION}=true", "--overwrite")
            check(kubectl, f"delete the namespace {name_of(item)}", *allow)
    for place in dict.fromkeys(map(namespace_of, stage)):
        names = [f"{item['kind'].lower()}/{name_of(item)}" for item in stage if namespace_of(item) == place]
        where = ["--namespace", place] if place else []
        options = ["--ignore-not-found", "--cascade=foreground", f"--timeout={WAIT_SECONDS}s"]
        check(kubectl, f"delete {', '.join(names)}", "delete", *names, *where, *options)


def uninstall(kubectl: Kubectl, plan: Plan) -> None:
    """Delete the objects of a plan, one stage after the other.

    Raises
    ------
    UninstallError
        Raised if an object cannot be deleted, or is not gone in time. The command can be run again.
    """
    retain_volumes(kubectl, plan)
    for stage in plan.stages:
        if stage:
            delete(kubectl, stage)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--yes", action="store_true", help="delete; without this option the command prints its plan")
    parser.add_argument("--context", default="", help="context of the kubeconfig (default: the current one)")


def run(options: argparse.Namespace) -> int:
    """Print the plan or uninstall the site, and return the exit status."""
    kubectl = Kubectl(options.context)
    try:
        if not kubectl.is_there():
            raise UninstallError("found no kubectl on the PATH: https://kubernetes.io/docs/tasks/tools/")
        context = options.context or kubectl.run("config", "current-context").out.strip()
        plan = create_plan(read_objects(kubectl))
        if plan.is_empty:
            print(f"The context {context} has no site." + (" These objects stay:" if plan.claims else ""))
            print("\n".join(format_kept(plan) if plan.claims else []))
            return OK
        if not options.yes:
            print(f"The command would uninstall the site in the context {context}.")
            print("\n".join(format_plan(plan)))
            print("Nothing was deleted. To uninstall the site, run the command again with --yes.")
            return OK
        uninstall(kubectl, plan)
    except UninstallError as error:
        print(f"uninstall: {error}", file=sys.stderr)
        return FAILED
    print(f"The site in the context {context} is uninstalled. These objects stay:")
    print("\n".join(format_kept(plan)))
    print("To come back, or to delete the data: docs/admin/uninstall.md")
    return OK
