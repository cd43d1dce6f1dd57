"""Tests of the culler, which stops idle labs, and stops busy labs only at their maximum age."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from labtesting.cluster import NAMESPACE, kubectl
from labtesting.hub_process import wait_until

from hub.tests.cluster.deployment import Deployment
from hub.tests.cluster.saving import check_saved, run_program

IDLE, AGE = 40, 110


@pytest.fixture
def culling(deployment: Deployment) -> Iterator[Deployment]:
    """Restart the hub with short limits for labs' idle time and age, and restore the settings at the end."""

    def change(**settings: str | None) -> None:
        patch = json.dumps({"data": settings})
        kubectl("patch", "configmap", "hub", "--namespace", NAMESPACE, "--type=merge", "--patch", patch)
        deployment.restart_hub()

    change(LAB_IDLE_SECONDS=str(IDLE), LAB_MAX_AGE_SECONDS=str(AGE), LAB_WARNING_SECONDS="10")
    yield deployment
    change(LAB_IDLE_SECONDS=None, LAB_MAX_AGE_SECONDS=None, LAB_WARNING_SECONDS=None)


def test_busy_lab_is_stopped_only_at_its_maximum_age(culling: Deployment) -> None:
    idle, account = culling.member("tess")
    idle.spawn("tess", image="recommended", size="small")
    run_program(culling, account)
    busy, _ = culling.member("uwe")
    started = time.monotonic()  # a lab's age counts from the request for the lab
    busy.spawn("uwe", image="recommended", size="small")
    with culling.client(busy, "uwe").kernel("python3", shut_down=False) as kernel:
        # The kernel runs for ten minutes without a message. Only the kernel's execution state shows that it is busy.
        kernel.send("execute_request", {"code": "import time; time.sleep(600)", "silent": False})
        wait_until(lambda: not culling.server("tess"), "the idle lab is stopped", 2 * IDLE)
        check_saved(account)
        assert culling.server("uwe")["ready"]
        assert "because it was idle for 40 seconds" in idle.get("/hub/spawn").text
        wait_until(lambda: not culling.server("uwe"), "the busy lab is stopped", AGE + 30)
    assert time.monotonic() - started >= AGE
    assert "because it reached the maximum age of 110 seconds" in busy.get("/hub/spawn").text
