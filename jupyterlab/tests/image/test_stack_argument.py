"""Tests of a lab image that contains the stack of another image (`--build-arg STACK=...`).

The image of the full stack has 10 GB and is not available everywhere. So the tests build a small stack image with the
same relevant properties: its Python has no ipykernel, its loadLSST.bash changes search paths, and its `setup` is a
shell function.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator

import pytest
from labtesting.container import engine, run_container

from tools.images import build

TAG = "test-stack-argument"
STACK_IMAGE = f"jupyterlabdemo-stack:{TAG}"
LOAD = r"""
export EUPS_DIR=/opt/lsst/software/stack/eups PATH=/opt/lsst/software/stack/python/bin:$PATH
export LD_LIBRARY_PATH=/opt/lsst/software/stack/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
setup() {
    echo "$1" >>/tmp/setups-run 2>/dev/null
    [ "$1" = lsst_distrib ] || [ "$1" = my_product ] || { echo "setup: $1 not found" >&2; return 1; }
    export "SETUP_${1^^}=$1 w_2026_46" AFW_DIR=/opt/lsst/software/stack/afw
}
"""
DOCKERFILE = """
FROM lsstsqre/jupyterlabdemo
RUN rm -r /opt/lsst/software/stack && mkdir -p /opt/lsst/software/stack \
    && /usr/bin/python3 -m venv --without-pip /opt/lsst/software/stack/python
RUN echo {load} | base64 -d > /opt/lsst/software/stack/loadLSST.bash
"""
SHOW = (
    "import ipykernel, os; print(os.environ['SETUP_LSST_DISTRIB'], os.environ['AFW_DIR'], "
    "os.environ['LD_LIBRARY_PATH'], os.path.dirname(os.path.dirname(ipykernel.__file__)))"
)


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """Build a small stack image, build the lab's image from it with `--build-arg STACK=...`, and yield its name."""
    dockerfile = DOCKERFILE.format(load=base64.b64encode(LOAD.encode()).decode())
    client = engine()
    client.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=STACK_IMAGE, rm=True)
    name = build("jupyterlab", TAG, {"STACK": STACK_IMAGE})
    try:
        yield name
    finally:
        client.images.remove(name, force=True)
        client.images.remove(STACK_IMAGE, force=True)


def test_any_stack_gets_a_kernel_without_its_setup(image: str) -> None:
    run = (
        "from jupyter_client.manager import start_new_kernel as start\n"
        "manager, client = start(kernel_name='lsst_stack')\n"
        f"client.execute_interactive({SHOW!r}, timeout=180)\n"
        "client.stop_channels(); manager.shutdown_kernel(now=True)\n"
        "import os; print('setups run:', os.path.exists('/tmp/setups-run'))"
    )
    with run_container(image, "python", "-c", run) as container:
        container.docker.wait(timeout=100)
        shown = container.log().splitlines()[-2:]
    stack = "/opt/lsst/software/stack"
    assert shown == [
        f"lsst_distrib w_2026_46 {stack}/afw {stack}/lib /opt/lab/share/lsstlab/ipykernel",
        "setups run: False",
    ]


def test_setup_of_the_stack_works_in_user_setups(image: str) -> None:
    script = (
        ". /opt/lab/share/jupyter/kernels/lsst_stack/environment.bash && setup my_product && echo $SETUP_MY_PRODUCT;"
        ". /opt/lsst/software/stack/loadLSST.bash && setup lsst_distrib && echo $SETUP_LSST_DISTRIB"
    )
    with run_container(image, "bash", "-c", script) as container:
        container.docker.wait(timeout=180)
        assert container.log() == "my_product w_2026_46\nlsst_distrib w_2026_46\n"
