"""How often a real hub commits: what `labhub.upstream` gains is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from labtesting.hub_process import wait_until

from hub.tests.integration.conftest import CONFIG, run_site

COUNT = """
from sqlalchemy import Engine, event

@event.listens_for(Engine, "commit")
def _count(_connection):
    with open("commits", "a") as file:
        file.write("x")
"""


@pytest.mark.parametrize(("mended", "counts"), [(False, (20, 6)), (True, (6, 1))], ids=["stock", "ours"])
def test_the_start_and_the_end_of_a_lab_commit_once_between_two_waits(
    tmp_path: Path, mended: bool, counts: tuple[int, int]
) -> None:
    config = CONFIG if mended else CONFIG.replace("upstream.mend", "str")
    commits = tmp_path / "commits"
    with run_site(tmp_path, config + COUNT) as site:
        site.member("ada")
        counted = commits.stat().st_size
        site.hub.api("POST", "/users/ada/server")
        wait_until(lambda: site.lab_runs("ada"), "the lab runs")
        started = commits.stat().st_size - counted
        site.stop_lab("ada")
        ended = commits.stat().st_size - counted - started
    assert (started, ended) == counts
