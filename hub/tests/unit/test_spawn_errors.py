"""Tests of the errors of failed spawns. The user sees the output of the lab, but the hub's log does not contain it."""

from __future__ import annotations

import traceback

import pytest
from jupyterhub.utils import format_exception  # type: ignore[import-untyped]
from labhub.labs.pod_status import Diagnosis, diagnose, diagnose_end
from labhub.labs.spawn_errors import SpawnFailedError

SECRET = "password=hunter2"


def diagnose_exit(reason: str, status: int) -> Diagnosis:
    """Return the diagnosis of a lab that has ended. The lab's output contains a secret."""
    state = {"terminated": {"exitCode": status, "reason": reason, "message": SECRET}}
    return diagnose_end(
        {"metadata": {}, "status": {"phase": "Failed", "containerStatuses": [{"name": "notebook", "state": state}]}}
    )


@pytest.mark.parametrize(
    "diagnosis", [diagnose_exit("Error", 3), diagnose_exit("OOMKilled", 137)], ids=["a crash", "memory"]
)
def test_the_output_of_a_lab_is_on_the_page_only(diagnosis: Diagnosis) -> None:
    error = SpawnFailedError(diagnosis).for_jupyterhub()
    text, html = format_exception(error, only_jupyterhub=True)
    assert SECRET in text
    assert SECRET in html
    # JupyterHub can log an exception in three forms: the message, the `repr` and the traceback.
    logged = "\n".join([error.get_message(), repr(error), *traceback.format_exception(error)])
    assert diagnosis.message in str(error)
    assert SECRET not in logged
    assert SECRET not in str(SpawnFailedError(diagnosis))


def test_the_message_of_kubernetes_is_logged() -> None:
    error = SpawnFailedError(diagnose("image", "ErrImagePull: not found", image="lsst/lab:1")).for_jupyterhub()
    message = "The image lsst/lab:1 cannot be pulled. Choose another image, or report this to an administrator."
    assert f"{message} ErrImagePull: not found" in str(error)


def test_a_message_is_escaped_for_html() -> None:
    error = SpawnFailedError(diagnose("refused", "<script>")).for_jupyterhub()
    assert "&lt;script&gt;" in error.jupyterhub_html_message
    assert "<script>" not in error.jupyterhub_html_message
