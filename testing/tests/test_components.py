"""Tests of `tools.components`, which lists the images for sites and for cluster tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tools.components import ROOT, image_name, shipper_for_tests, version

IMAGE = re.compile(r"^\s*(?:- )?image: (\S+)$", re.MULTILINE)
FILEBEAT = f"{image_name('filebeat')}:{version()}"


def list_images(*options: str, shipper: str = "") -> set[str]:
    """Run `python -m tools.components`, and return the images that it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.components", *options],
        cwd=ROOT,
        env=os.environ | {"SHIPPER_IMAGE": shipper},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == len(set(lines))
    return set(lines)


@pytest.mark.parametrize("shipper", ["", "registry.example/shipper:1"], ids=["no shipper", "shipper"])
def test_images_for_a_site_are_those_of_the_components(shipper: str) -> None:
    listed = list_images(shipper=shipper)
    components = [path.parent.name for path in ROOT.glob("*/Dockerfile")]
    assert len(components) > 5
    assert listed == {f"{image_name(component)}:{version()}" for component in components}
    assert shipper_for_tests() not in listed


def test_the_manifests_name_exactly_the_listed_images() -> None:
    named = {image for file in ROOT.glob("*/kubernetes/*.yaml") for image in IMAGE.findall(file.read_text())}
    assert FILEBEAT in named
    assert named == list_images()


@pytest.mark.parametrize(
    ("shipper", "wanted"),
    [("", shipper_for_tests()), ("registry.example/shipper:1", "registry.example/shipper:1")],
    ids=["test shipper", "SHIPPER_IMAGE"],
)
def test_tests_replace_the_image_of_filebeat(shipper: str, wanted: str) -> None:
    assert list_images("--for-tests", shipper=shipper) == list_images() - {FILEBEAT} | {wanted}
