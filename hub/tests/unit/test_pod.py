"""Tests that compare the manifest of a lab's pod with the expected manifests in golden/.

After an intended change of the manifest, run `nox -s "test(hub)" -- -k golden --update-golden`, and check the diff of
the files.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from labhub.labs.pod import build_pod, group_file, passwd_file
from labhub.models.identity import Account, Group, Identity, Organization, ReservedNames, build_identity
from labhub.models.pod_types import PodSettings
from labhub.models.profiles import Choice, Image, Menu, Size
from labtesting.contracts import read_contract

GOLDEN = Path(__file__).parent / "golden"
SITE = PodSettings(
    home_claim="home",
    project_claim="project",
    passwd="root:x:0:0:root:/root:/bin/bash\n",
    group="root:x:0:\nstaff:x:50:\n",
    groups_policy="Strict",
    idle_seconds=14400,
    max_age_seconds=604800,
    warning_seconds=900,
    stop_seconds=30,
)
MENU = Menu(
    images=(Image(key="recommended", title="Recommended", image="lsstsqre/jupyterlabdemo:1"),),
    sizes=(Size(key="small", title="Small", cpu="1", memory="2Gi"),),
)
CHOICE = Choice(MENU.images[0], MENU.sizes[0])
ADA = Identity(
    5150,
    "Ada-Amber",
    "ada-amber",
    5150,
    (
        Group("lsst-sqre", 17001, Organization(17001, "lsst-sqre")),
        Group("gh-Docker", 2000000999, Organization(999, "Docker")),
    ),
)


def build(identity: Identity = ADA, site: PodSettings = SITE, **more: Any) -> dict[str, Any]:
    """Build the manifest of a lab's pod with the settings of the tests."""
    environment = {"JUPYTERHUB_API_TOKEN": "made-up", "JUPYTERHUB_USER": identity.name}
    return build_pod(identity, CHOICE, site, environment, **{"hub_user": identity.name, **more})


@pytest.mark.parametrize(
    ("name", "pod"),
    [
        ("member", build()),
        (
            "no-groups-no-limits-named",
            build(
                Identity(7, "bo", "bo", 2000000007), PodSettings("h", "p", "", "", "Merge", 0, 0, 0, 1), server="two"
            ),
        ),
    ],
)
def test_pod_equals_the_golden_file(name: str, pod: dict[str, Any], request: pytest.FixtureRequest) -> None:
    file = GOLDEN / f"{name}.json"
    if request.config.getoption("--update-golden"):
        file.write_text(json.dumps(pod, indent=2) + "\n")
    assert pod == json.loads(file.read_text())


def test_lab_environment_follows_the_contract() -> None:
    env = {variable["name"]: variable["value"] for variable in build()["spec"]["containers"][0]["env"]}
    of_lab = {name: value for name, value in env.items() if not name.startswith("JUPYTERHUB_")}
    assert not list(Draft202012Validator(read_contract("lab-environment")).iter_errors(of_lab))


def test_environment_cannot_change_the_identity() -> None:
    pod = build_pod(ADA, CHOICE, SITE, {"HOME": "/root", "USER": "root"}, hub_user="ada-amber")
    env = {variable["name"]: variable["value"] for variable in pod["spec"]["containers"][0]["env"]}
    assert (env["HOME"], env["USER"]) == ("/home/ada-amber", "ada-amber")


@given(
    st.integers(1, 1_999_999_999),
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,38}", fullmatch=True),
    st.lists(st.tuples(st.integers(1, 1_999_999_999), st.from_regex(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}", fullmatch=True))),
)
def test_pod_of_any_account_is_valid_and_unprivileged(number: int, login: str, teams: list[tuple[int, str]]) -> None:
    try:
        identity = build_identity(Account(number, login), [Organization(*team) for team in teams], (), ReservedNames())
    except Exception:  # some logins cannot be user names
        return
    pod = build(identity)
    spec, metadata = pod["spec"], pod["metadata"]
    assert spec["securityContext"]["runAsUser"] >= 1000
    assert len(spec["securityContext"]["supplementalGroups"]) <= 16
    assert "fsGroup" not in spec["securityContext"]
    mounts = spec["containers"][0]["volumeMounts"]
    assert all(mount.get("subPath") for mount in mounts if mount["name"] in {"home", "project"})
    assert [mount["subPath"] for mount in mounts if mount["name"] == "home"] == [str(identity.uid)]
    assert all(len(value) <= 63 and value[0].isalnum() and value[-1].isalnum() for value in metadata["labels"].values())
    assert len({mount["mountPath"] for mount in mounts}) == len(mounts)


def test_passwd_and_group_files_have_image_and_user_names() -> None:
    assert passwd_file(ADA, "root:x:0:0::/root:/bin/sh\n").splitlines() == [
        "root:x:0:0::/root:/bin/sh",
        "ada-amber:x:5150:5150::/home/ada-amber:/bin/bash",
    ]
    assert group_file(ADA, "root:x:0:").splitlines() == [
        "root:x:0:",
        "ada-amber:x:5150:",
        "lsst-sqre:x:17001:ada-amber",
        "gh-Docker:x:2000000999:ada-amber",
    ]
