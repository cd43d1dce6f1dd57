"""The end of a spawn: its user sees all of it, the hub's log nothing that the lab has printed."""

from __future__ import annotations

import logging
import traceback
from types import SimpleNamespace
from typing import Any

import pytest
from jupyterhub.spawner import SpawnException  # type: ignore[import-untyped]
from jupyterhub.utils import format_exception  # type: ignore[import-untyped]
from labhub.labs.pod_status import Diagnosis, explain, explain_end
from labhub.labs.spawn_errors import Failed
from labhub.labs.spawner import LabSpawner

SECRET = "password=hunter2"


def ended(reason: str, status: int) -> Diagnosis:
    """Say why a lab has ended that printed a secret."""
    state = {"terminated": {"exitCode": status, "reason": reason, "message": SECRET}}
    return explain_end(
        {"metadata": {}, "status": {"phase": "Failed", "containerStatuses": [{"name": "notebook", "state": state}]}}
    )


async def fail(found: Diagnosis) -> SpawnException:
    """Have a spawn end with this; give what JupyterHub gets."""

    async def spawn() -> None:
        raise Failed(found)

    async def clean_up() -> None:
        pass

    user, log = SimpleNamespace(name="ada"), logging.getLogger("jupyterhub")
    spawner: Any = SimpleNamespace(found=None, user=user, log=log, _spawn=spawn, _clean_up=clean_up)
    with pytest.raises(SpawnException) as raised:
        await LabSpawner._start(spawner)
    return raised.value


@pytest.mark.asyncio
@pytest.mark.parametrize("found", [ended("Error", 3), ended("OOMKilled", 137)], ids=["a crash", "memory"])
async def test_what_a_lab_printed_is_on_the_page_and_in_no_log(
    found: Diagnosis, caplog: pytest.LogCaptureFixture
) -> None:
    error = await fail(found)
    text, shown = format_exception(error, only_jupyterhub=True)
    assert SECRET in text
    assert SECRET in shown
    # As JupyterHub logs it: in a line of its own, or with where it came from.
    logged = "\n".join([caplog.text, error.get_message(), repr(error), *traceback.format_exception(error)])
    assert f"ada: no lab: {found.reason}: {found.message}" in caplog.text
    assert found.message in str(error)
    assert SECRET not in logged


@pytest.mark.asyncio
async def test_what_kubernetes_says_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    error = await fail(explain("image", "ErrImagePull: not found", image="lsst/lab:1"))
    told = "The image lsst/lab:1 cannot be pulled. ErrImagePull: not found"
    assert f"ada: no lab: image: {told}" in caplog.text
    assert told in str(error)
