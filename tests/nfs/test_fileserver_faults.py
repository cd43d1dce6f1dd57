"""Tests of labs with mounted folders while the fileserver is killed, or is unavailable for some minutes."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import pytest
from labtesting import cluster
from labtesting.cluster import NAMESPACE, kubectl
from labtesting.hub_process import wait_until
from labtesting.second_node import only_on

from tests.nfs.deployment import SELECTOR, Lab, on_disk, scale_fileserver
from tests.nfs.lab_program import WRITER, run_in_lab
from tests.nfs.locks import FREE, HELD, HOLDER, PROJECT, probe, probe_elsewhere

# Maximum duration of a write. The limit is high, because the fileserver's new pod may start slowly.
MAX_STALL_SECONDS = 60
# Maximum time in which a lab stops: LAB_STOP_SECONDS, and 30 s for kubelet
STOP_SECONDS = 60
# Seconds for which the fileserver is unavailable. docs/dev/faults.md, "Labs with NFS", describes the variable.
AWAY_SECONDS = int(os.environ.get("AWAY_SECONDS", "80"))


@dataclass
class Killed:
    """What labs observed while the fileserver was killed and restarted.

    Attributes
    ----------
    synced
        Number of lines that the lab has synced.
    stall
        Longest write of a line in seconds.
    locks
        Locks that another lab could get after the kill, while the first lab held them.
    locks_elsewhere
        Locks that another NFS client could get at that time.
    released
        Locks that another NFS client could get after the first lab had released them.
    """

    synced: int
    stall: float
    locks: dict[str, bool]
    locks_elsewhere: dict[str, bool]
    released: dict[str, bool]


@pytest.fixture(scope="module")
def killed(lab: Lab, other_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Killed:
    """Kill the fileserver's pod while a lab writes to its home and holds locks in a project folder."""
    logs = tmp_path_factory.mktemp("killed")
    with (
        run_in_lab(lab.pod, HOLDER, PROJECT, log=logs / "holder") as holder,
        run_in_lab(lab.pod, WRITER, f"{lab.home}/killed", log=logs / "writer") as writer,
    ):
        holder.wait_for(lambda line: line["locked"], "the locks are held")
        writer.wait_for(lambda line: line["count"] > 100, "the lab writes")
        kubectl("delete", "pod", "--selector", SELECTOR, "--namespace", NAMESPACE, "--grace-period=0", "--force")
        writer.wait_for(lambda line: line["longest"] > 1, "a write stalls and continues", 150)
        # After its start, the fileserver first waits until all earlier clients have reclaimed their locks. Until then,
        # it refuses new locks.
        cluster.wait_for_rollout("fileserver", 120)
        locks = probe(other_lab)
        locks_elsewhere = probe_elsewhere(lab, logs / "client")
        end = writer.finish()
        holder.finish()
    return Killed(end["count"], end["longest"], locks, locks_elsewhere, probe_elsewhere(lab, logs / "client"))


def lines(count: int) -> str:
    """Return the content of the first lines that the program `WRITER` writes."""
    return "".join(f"{number:08}\n" for number in range(count))


def test_a_killed_fileserver_loses_no_synced_write(killed: Killed, lab: Lab) -> None:
    print(f"{killed.synced} synced writes, the longest took {killed.stall:.1f} s")  # noqa: T201  (a measurement)
    assert on_disk("cat", f"/storage/home/{lab.account.id}/killed") == lines(killed.synced)
    assert killed.stall < MAX_STALL_SECONDS


def test_labs_keep_their_locks_when_the_fileserver_is_killed(killed: Killed) -> None:
    assert killed.locks == HELD
    assert killed.locks_elsewhere == HELD, "the lab has not reclaimed its locks"
    assert killed.released == FREE


@dataclass
class Away:
    """What users observed while the fileserver was unavailable for some time.

    Attributes
    ----------
    synced
        Numbers of lines that the lab had synced at the end of this time, and at the end of the program.
    stall
        Longest write of a line in seconds.
    stop_seconds
        Time from the request to stop the other lab until the hub offers a new one.
    progress
        Progress of the new lab until the fileserver was back.
    """

    synced: tuple[int, int]
    stall: float
    stop_seconds: float
    progress: str


@pytest.fixture(scope="module")
def away(killed: Killed, lab: Lab, other_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Away:
    """Stop the fileserver for some time, in which a lab writes. The other user stops a lab and starts a new lab."""
    assert killed.synced  # the tests of this module change the same fileserver, one after the other
    with run_in_lab(lab.pod, WRITER, f"{lab.home}/away", log=tmp_path_factory.mktemp("away") / "log") as writer:
        writer.wait_for(lambda line: line["count"] > 100, "the lab writes")
        scale_fileserver(0)
        try:
            wait_until(lambda: not cluster.get("pods", selector=SELECTOR), "the fileserver's pod is gone", 60)
            gone = time.monotonic()
            other_lab.ask_for_stop()
            wait_until(lambda: not other_lab.model(), "the hub has stopped the lab", STOP_SECONDS + 60)
            stop_seconds = time.monotonic() - gone
            wait_until(lambda: time.monotonic() - gone > AWAY_SECONDS, "the time has passed", AWAY_SECONDS + 60)
            synced = writer.last["count"]
            with only_on(other_lab.node):
                other_lab.ask_for_start()
                progress = other_lab.read_progress(until="shared storage")
                scale_fileserver(1)
                other_lab.wait_started()
        finally:
            scale_fileserver(1)
        writer.wait_for(lambda line: line["count"] > synced + 100, "the lab writes again")
        end = writer.finish()
    return Away((synced, end["count"]), end["longest"], stop_seconds, progress)


def test_writes_wait_until_the_fileserver_is_back(away: Away, lab: Lab) -> None:
    print(f"{away.synced[1]} synced writes, the longest took {away.stall:.0f} s")  # noqa: T201  (a measurement)
    assert away.stall > AWAY_SECONDS
    assert on_disk("cat", f"/storage/home/{lab.account.id}/away") == lines(away.synced[1])
    assert lab.answers()


def test_a_lab_stops_while_the_fileserver_is_away(away: Away) -> None:
    print(f"stopped after {away.stop_seconds:.0f} s")  # noqa: T201  (a measurement)
    assert away.stop_seconds < 2 * STOP_SECONDS


def test_a_new_lab_starts_when_the_fileserver_is_back(away: Away, other_lab: Lab) -> None:
    assert "Waiting for the shared storage, which does not answer" in away.progress
    assert other_lab.run("sh", "-c", "echo kept >~/kept && cat ~/kept") == "kept\n"
