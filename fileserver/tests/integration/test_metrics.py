"""Tests of the metrics and probes of labfiles."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import httpx
import pytest
from labtesting.fileserver import Labfiles, as_root, run_labfiles
from labtesting.hub_process import wait_until
from labtesting.logevents import assert_log_events

DOCS = Path(__file__).parents[3] / "docs/admin/metrics.md"
HOST_PATH = Path(__file__).parents[2] / "alternatives/hostpath/deployment.yaml"


def test_storage_size_equals_the_output_of_df(labfiles: Labfiles) -> None:
    metrics, disk = labfiles.metrics(), os.statvfs(labfiles.storage)
    assert metrics["labfiles_storage_bytes"] == disk.f_blocks * disk.f_frsize
    assert metrics["labfiles_storage_inodes"] == disk.f_files
    assert 0 < metrics["labfiles_storage_available_bytes"] < metrics["labfiles_storage_bytes"]


def test_each_folder_is_measured_within_its_interval(tmp_path: Path) -> None:
    with run_labfiles(tmp_path, LABFILES_USAGE_SECONDS="1") as labfiles:
        labfiles.put("homes/5000")
        labfiles.put("projects/7000")
        as_root("dd", "if=/dev/zero", f"of={labfiles.storage}/home/5000/big", "bs=1M", "count=2", "conv=fsync")
        home = 'labfiles_folder_bytes{id="5000",kind="home"}'
        wait_until(lambda: labfiles.metrics().get(home, 0) > 2 * 2**20, "the home is measured")
        metrics = labfiles.metrics()
        assert metrics['labfiles_folder_files{id="5000",kind="home"}'] == 1
        assert metrics['labfiles_folder_files{id="7000",kind="project"}'] == 0
        assert 0 <= metrics["labfiles_usage_scan_age_seconds"] < 60
        assert 0 <= metrics["labfiles_usage_scan_duration_seconds"] < 60


def test_the_scan_has_idle_priority(labfiles: Labfiles) -> None:
    (task,) = [task for task in Path(f"/proc/{python_of(labfiles)}/task").iterdir() if nice(task) == 19]
    output = subprocess.run(["ionice", "-p", task.name], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "idle"


def nice(task: Path) -> int:
    """Return the nice value of a thread."""
    return int((task / "stat").read_text().rpartition(")")[2].split()[16])


def python_of(labfiles: Labfiles) -> int:
    """Return the process id of labfiles. If the test uses sudo, this is the id of sudo's child process."""
    children = Path(f"/proc/{labfiles.process.pid}/task/{labfiles.process.pid}/children").read_text().split()
    return int(children[0]) if children else labfiles.process.pid


def test_without_an_nfs_server_nfs_is_down(labfiles: Labfiles) -> None:
    metrics = labfiles.metrics()
    assert metrics["labfiles_nfs_up"] == 0
    assert "labfiles_nfs_answer_seconds" not in metrics


def test_with_nfs_turned_off_there_are_no_nfs_metrics(tmp_path: Path) -> None:
    environment = dict(re.findall(r'- name: (LABFILES_NFS\w*)\n +value: "(.*)"', HOST_PATH.read_text()))
    assert environment, "the hostpath alternative does not turn NFS off"
    with run_labfiles(tmp_path, **environment) as labfiles:
        metrics = labfiles.metrics()
    assert [name for name in metrics if "nfs" in name] == []
    assert metrics["labfiles_storage_bytes"] > 0, "without this metric the alert FileserverDown fires"


def test_unreadable_storage_is_logged_in_one_line(labfiles: Labfiles) -> None:
    moved = labfiles.storage.rename(labfiles.storage.with_name("moved"))
    with pytest.raises(httpx.RemoteProtocolError):
        labfiles.metrics()
    moved.rename(labfiles.storage)
    assert labfiles.metrics()["labfiles_storage_bytes"] > 0
    line = assert_log_events(labfiles.log.read_text().splitlines())[-1]
    assert line["message"].startswith("a request failed: FileNotFoundError(")
    assert "statvfs" in line["error.stack_trace"]


def test_probes_are_answered(labfiles: Labfiles) -> None:
    for path, status in (("/live", 200), ("/ready", 200), ("/other", 404)):
        assert httpx.get(labfiles.metrics_url + path).status_code == status
    assert httpx.get(labfiles.metrics_url + "/other").text == "found '/other', wanted one of /metrics, /live, /ready\n"


def test_each_metric_has_a_line_in_the_documentation(labfiles: Labfiles) -> None:
    names = {name.partition("{")[0] for name in labfiles.metrics() if name.startswith("labfiles_")}
    named = set(re.findall(r"`(labfiles_[a-z_]+)", DOCS.read_text()))
    conditional = {
        "labfiles_nfs_answer_seconds",
        "labfiles_folder_bytes",
        "labfiles_folder_files",
        "labfiles_usage_scan_age_seconds",
        "labfiles_usage_scan_duration_seconds",
    }
    assert names | conditional == named
