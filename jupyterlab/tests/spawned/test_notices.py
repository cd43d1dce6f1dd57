"""Tests of the warnings that a spawned lab shows before the hub stops the lab."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
from labtesting.hub_process import wait_until
from labtesting.labclient import PROMPT, SpawnedLab

Spawn = Callable[..., SpawnedLab]


def wait_for_notice(lab: SpawnedLab, kind: str) -> dict[str, object]:
    """Wait until the lab has a notice, check that it is the only notice and of this kind, and return the notice."""
    wait_until(lambda: lab.notices() != [], f"the lab shows a notice about its {kind} limit")
    (notice,) = lab.notices()
    assert str(notice["id"]).startswith(f"{kind}-")
    return notice


def test_idle_lab_shows_the_time_of_its_stop(spawn: Spawn) -> None:
    lab = spawn(LAB_IDLE_SECONDS="8", LAB_WARNING_SECONDS="4")
    before = lab.last_activity()
    notice = wait_for_notice(lab, "idle")
    assert notice["level"] == "warning"
    assert str(notice["text"]).startswith("This lab has been idle for ")
    assert datetime.fromisoformat(str(notice["time"])) == before + timedelta(seconds=8)
    assert [other["id"] for other in lab.notices()] == [notice["id"]]


def test_use_after_a_warning_is_reported_at_once(spawn: Spawn) -> None:
    lab = spawn(LAB_IDLE_SECONDS="8", LAB_WARNING_SECONDS="4", JUPYTERHUB_ACTIVITY_INTERVAL="300")
    wait_for_notice(lab, "idle")
    count = len(lab.hub.reports)
    assert lab.client.request("POST", "lsstlab/notices").json() == []
    wait_until(lambda: len(lab.hub.reports) > count, "the lab reports the use to the hub")
    assert lab.hub.reports[-1] == lab.last_activity()


def test_use_is_reported_at_once_without_warnings(spawn: Spawn) -> None:
    lab = spawn(LAB_IDLE_SECONDS="4", JUPYTERHUB_ACTIVITY_INTERVAL="300")
    before = lab.last_activity()
    wait_until(lambda: datetime.now(UTC) > before + timedelta(seconds=3), "half of the idle limit has passed")
    count = len(lab.hub.reports)
    lab.client.request("POST", "lsstlab/notices")
    wait_until(lambda: len(lab.hub.reports) > count, "the lab reports the use to the hub")
    assert lab.notices() == []


def test_busy_kernel_after_a_warning_is_reported(spawn: Spawn) -> None:
    lab = spawn(LAB_IDLE_SECONDS="8", LAB_WARNING_SECONDS="4", JUPYTERHUB_ACTIVITY_INTERVAL="300")
    with lab.client.kernel("python3") as kernel:
        wait_for_notice(lab, "idle")
        count = len(lab.hub.reports)
        kernel.send("execute_request", {"code": "import time; time.sleep(1000)", "silent": False})
        wait_until(lambda: len(lab.hub.reports) > count, "the lab reports the use to the hub")
        assert lab.notices() == []


def test_a_lab_at_its_age_limit_warns_also_during_use(spawn: Spawn) -> None:
    lab = spawn(LAB_MAX_AGE_SECONDS="10", LAB_WARNING_SECONDS="5")
    with lab.client.kernel("python3") as kernel:
        kernel.send("execute_request", {"code": "import time; time.sleep(1000)", "silent": False})
        notice = wait_for_notice(lab, "age")
        assert "even if code is running" in str(notice["text"])
        assert lab.client.request("POST", "lsstlab/notices").json() == [notice]


def test_terminals_show_each_warning_once(spawn: Spawn) -> None:
    lab = spawn(LAB_IDLE_SECONDS="12", LAB_WARNING_SECONDS="6")
    with lab.client.terminal() as terminal:
        terminal.read_until(PROMPT)
        before = lab.last_activity()
        shown = terminal.read_until(" unless you use it.")
        assert re.search(r"This lab has been idle for \d+ s\. It stops at ", shown)
        wait_for_notice(lab, "idle")
        assert lab.last_activity() == before
        lab.client.request("POST", "lsstlab/notices")
        assert terminal.read_until(" unless you use it.").count("idle") == 1, "the second warning is not shown once"


def test_lab_without_limits_has_no_notices(spawn: Spawn) -> None:
    lab = spawn()
    assert lab.notices() == []


def test_notices_need_a_login(spawn: Spawn) -> None:
    lab = spawn()
    answer = httpx.get(f"{lab.client.url}{lab.client.base}lsstlab/notices")
    assert answer.status_code == 403
