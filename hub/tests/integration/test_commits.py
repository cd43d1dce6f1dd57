"""How often a real hub commits: what `labhub._patches.jupyterhub_functions` gains is there."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from labtesting.hub_process import wait_until

from hub.tests.integration.conftest import CONFIG, run_site

COUNT = """
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

def count(of, what, file):
    @event.listens_for(of, what)
    def note(*_):
        with open(file, "a") as counted:
            counted.write("x")

count(Engine, "commit", "commits")
count(Session, "after_flush", "flushes")
"""


@pytest.mark.parametrize(
    ("mended", "counts"), [(False, ([20, 11], [6, 5])), (True, ([6, 6], [1, 3]))], ids=["stock", "ours"]
)
def test_the_start_and_the_end_of_a_lab_write_once_between_two_waits(
    tmp_path: Path, mended: bool, counts: tuple[list[int], list[int]]
) -> None:
    config = CONFIG if mended else CONFIG.replace("upstream.mend", "str")
    files = [tmp_path / name for name in ("commits", "flushes")]
    with run_site(tmp_path, config + COUNT) as site:
        site.member("ada")
        sizes = [[file.stat().st_size for file in files]]
        site.hub.api("POST", "/users/ada/server")
        wait_until(lambda: site.lab_runs("ada"), "the lab runs")
        sizes.append([file.stat().st_size for file in files])
        site.stop_lab("ada")
        sizes.append([file.stat().st_size for file in files])
    seen = [[after - before for before, after in zip(*two, strict=True)] for two in pairwise(sizes)]
    assert tuple(seen) == counts
