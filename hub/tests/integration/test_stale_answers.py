"""Tests of how long GitHub's last answer about a user is valid while GitHub is unavailable."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from labtesting.hub_process import wait_until


@pytest.fixture(scope="module")
def site(start_site: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Start a hub in which GitHub's last answer is valid for three seconds."""
    folder: Path = tmp_path_factory.mktemp("bound")
    with start_site(folder, GITHUB_STALE_SECONDS="3") as site:
        yield site


def test_expired_answer_ends_the_session_and_keeps_the_lab(site: Any) -> None:
    visitor, _ = site.member("patient")
    visitor.spawn("patient")
    token = site.api_token("patient")
    with site.trouble("down"):
        wait_until(lambda: not visitor.is_logged_in(), "the session has ended")
        outcomes = [event["hub.outcome"] for event in site.events("refresh", "patient")]
        assert "kept:github_down" in outcomes
        assert outcomes[-1] == "expired:github_down"
        assert not site.token_works(token)
        assert site.lab_runs("patient")
        started = site.hub.user("patient")["servers"][""]["started"]
    assert visitor.log_in().status_code == 200
    assert visitor.reaches_lab("patient")
    assert site.hub.user("patient")["servers"][""]["started"] == started


def test_lab_of_a_logged_out_user_stops_after_the_limit(site: Any) -> None:
    visitor, _ = site.member("gone-home")
    visitor.spawn("gone-home")
    visitor.log_out()
    assert site.lab_runs("gone-home")
    wait_until(lambda: not site.lab_runs("gone-home"), "the lab is stopped")
    assert site.events("refresh", "gone-home")[-1]["hub.outcome"] == "expired:signed_out"
