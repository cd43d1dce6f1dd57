"""The Kubernetes client, loaded by and by: in a process of its own, since here it is loaded already."""

from __future__ import annotations

import subprocess
import sys

LOAD = """
import sys
from labhub._patches.lazily import load_lazily
load_lazily()
"""


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", LOAD + program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_hub_loads_few_of_its_modules() -> None:
    count = "print(sum(name.startswith('kubernetes_asyncio.client.') for name in sys.modules))"
    assert 10 < int(run(f"import labhub.app\n{count}")) < 100


def test_what_is_asked_for_is_what_there_would_be() -> None:
    """Each name of each package, which an answer of the API may need."""
    program = """
import asyncio
import kubernetes_asyncio.client as client
for package in (client, client.api, client.models):
    names = [name for name in dir(package) if name[0].isupper()]
    assert len(names) > 60, names
    for name in names:
        assert getattr(package, name).__name__ == name, name
assert client.V1Pod is client.models.V1Pod

async def read():
    async with client.ApiClient() as api:
        print(api._ApiClient__deserialize({"metadata": {"name": "lab"}}, "V1Pod").metadata.name)

asyncio.run(read())
"""
    assert run(program) == "lab"


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    told = """
import kubernetes_asyncio.client as client
try:
    client.V1Lab
except AttributeError as error:
    print(error)
try:
    from kubernetes_asyncio.client import V1Lab
except ImportError as error:
    print(type(error).__name__)
"""
    assert run(told).splitlines() == ["module 'kubernetes_asyncio.client' has no attribute 'V1Lab'", "ImportError"]
