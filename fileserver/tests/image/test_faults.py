"""Tests of faults: a killed or stopped server, a full disk, and a storage that cannot be used."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from labtesting.container import Container, run_container
from labtesting.fileserver import TOKEN, as_root
from labtesting.hub_process import wait_until
from labtesting.needs import need_program
from labtesting.nfs import run_on_client

from fileserver.tests.image.conftest import PYTHON, Pod, confined, run_pod, server_options, small_disk, volume_of

HERE = Path(__file__).parent
# The grace period lasts 30 s. Ganesha ends the grace period earlier if all clients have reclaimed their locks.
MAX_PAUSE_SECONDS = 45
Fault = Callable[[Pod], AbstractContextManager[None]]
HOME = 5000


def request_folder(pod: Pod, path: str) -> int:
    """Request a folder from labfiles, as the hub does, and return the HTTP status."""
    answer = httpx.put(f"{pod.api}/v1/{path}", headers={"Authorization": f"Bearer {TOKEN}"})
    return answer.status_code


def execute(pod: Pod, *command: str) -> str:
    """Run a command in the server's container, and return its output."""
    status, output = pod.server.execute(*command)
    assert status == 0, output
    return output


def parse_lines(output: str) -> list[dict[str, Any]]:
    """Parse the JSON lines in the output of a program that ran on the NFS client."""
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def as_user(*command: str) -> list[str]:
    """Return a command that runs this command as the owner of the home."""
    return ["setpriv", f"--reuid={HOME}", f"--regid={HOME}", "--clear-groups", *command]


@contextmanager
def restart(pod: Pod) -> Iterator[None]:
    """Kill the server, and start its container again, as kubelet does."""
    pod.server.docker.kill("SIGKILL")
    pod.server.docker.start()
    yield


@contextmanager
def replace(pod: Pod) -> Iterator[None]:
    """Kill the server, and run the server of a new pod, which has another host name, until the end of the block."""
    pod.server.docker.kill("SIGKILL")
    with run_container(**pod.options):
        yield
    pod.server.docker.start()
    pod.wait_until_ready()


@pytest.mark.parametrize("fault", [restart, replace])
def test_a_killed_server_keeps_all_data_and_locks(pod: Pod, tmp_path: Path, fault: Fault) -> None:
    assert request_folder(pod, f"homes/{HOME}") in {200, 201}
    # load.py runs as root on the client. The server maps root to UID 65534 (Root_Squash), so UID 65534 must own the
    # folder.
    folder = f"/storage/home/{HOME}/load"
    pod.labfiles.execute("/bin/rm", "-rf", folder)
    pod.labfiles.execute("/bin/mkdir", folder)
    execute(pod, "/bin/chown", "65534", folder)
    execute(pod, "/bin/chmod", "711", f"/storage/home/{HOME}")
    command = [sys.executable, str(HERE / "load.py"), f"/mnt/{HOME}/load", "3"]
    with run_on_client(f"{pod.address}:/home", *command, log=tmp_path / "log") as client:
        client.wait_for(lambda output: output.count("synced") > 3, "the client writes")
        synced = parse_lines(client.log.read_text())[-1]["synced"]
        with fault(pod):
            results = parse_lines(client.finish())
    end, free = results[-2], results[-1]
    print(f"killed after {synced} synced records; writes paused for {end['pause']} s")  # noqa: T201
    assert end["count"] > synced
    assert end["records"] is True, "synced records are missing, duplicated or out of order"
    assert len(end["copies"]) > 1
    assert set(end["copies"].values()) == {True}
    assert end["early"] is True, "a file that was opened before the kill cannot be read"
    assert end["locked"] == {"lockf": True, "flock": True}
    assert end["reclaimed"] == {"lockf": True, "flock": True}, "a lock was not reclaimed"
    assert free == {"free": {"lockf": True, "flock": True}}
    assert 1 < end["pause"] < MAX_PAUSE_SECONDS


def test_stopped_server_ends_at_once_and_starts_again(pod: Pod) -> None:
    pod.server.docker.kill("SIGTERM")
    assert pod.server.docker.wait(timeout=180)["StatusCode"] == 0
    assert read_metric(pod, "labfiles_nfs_up") == 0
    pod.server.docker.start()
    pod.wait_until_ready()
    assert read_metric(pod, "labfiles_nfs_up") == 1


def read_metric(pod: Pod, name: str) -> float:
    """Return the value of a metric of labfiles."""
    text = httpx.get(f"http://{pod.address}:9465/metrics").text
    return float(re.search(rf"^{name} (\S+)$", text, re.MULTILINE)[1])  # type: ignore[index]  # the metric exists


FILL = """
set -u
cd /mnt/home/5000
head -c 1000000 /dev/urandom > before && sync before && cp before /tmp/before
dd if=/dev/zero of=big bs=1M conv=fsync 2>&1 | grep -o 'No space left on device'
echo '{"full": true}'
cmp before /tmp/before && ls > /dev/null && echo '{"reads": true}'
{ head -c 2000000 /dev/zero > more && sync more; } 2> /dev/null || echo '{"still refused": true}'
sleep 3
rm big && head -c 1000000 /dev/zero > after && sync after && echo '{"writes again": true}'
"""


def test_a_full_disk_refuses_only_writes(image: str, tmp_path: Path) -> None:
    (tmp_path / "tokens").mkdir()
    with (
        small_disk(tmp_path, "48M", 64) as options,
        volume_of(**options) as volume,
        run_pod(image, volume, tmp_path / "tokens") as pod,
    ):
        assert request_folder(pod, f"homes/{HOME}") == 201
        with run_on_client(f"{pod.address}:/", *as_user("bash", "-c", FILL), log=tmp_path / "log") as client:
            client.wait_for(lambda output: "full" in output, "the disk is full")
            assert read_metric(pod, "labfiles_storage_available_bytes") < 2**20
            for _ in range(3):
                assert pod.answers, "the probe fails because the disk is full"
            output = client.finish()
        assert "No space left on device" in output
        assert parse_lines(output) == [{"full": True}, {"reads": True}, {"still refused": True}, {"writes again": True}]
        statuses = [request_folder(pod, f"projects/{gid}") for gid in range(6000, 6040)]
        assert {201, 507} == set(statuses), "a folder for which there is no space must be refused with 507"


def test_an_enlarged_disk_is_served(image: str, tmp_path: Path) -> None:
    resize = need_program("resize2fs", "/sbin/resize2fs", how="apt install e2fsprogs")
    (tmp_path / "tokens").mkdir()
    with small_disk(tmp_path, "48M", 1000) as options:
        with volume_of(**options) as volume, run_pod(image, volume, tmp_path / "tokens") as pod:
            assert request_folder(pod, f"homes/{HOME}") == 201
            before = read_metric(pod, "labfiles_storage_bytes")
        # kubelet enlarges the disk of a claim with the same commands. Unlike this test, kubelet does so while the disk
        # is mounted.
        as_root("truncate", "--size=96M", tmp_path / "disk")
        as_root("losetup", "--set-capacity", options["device"])
        as_root(resize, "-f", options["device"])
        with volume_of(**options) as volume, run_pod(image, volume, tmp_path / "tokens") as pod:
            assert read_metric(pod, "labfiles_storage_bytes") > 1.8 * before
            assert request_folder(pod, f"homes/{HOME}") == 200


@pytest.mark.parametrize(
    ("tmpfs", "message"),
    [
        ({}, "found a file system of type overlay on which name_to_handle_at fails (Operation not supported), "),
        ({"/storage": ""}, "found a file system of type tmpfs, "),
    ],
    ids=["overlay", "tmpfs"],
)
def test_disk_that_cannot_be_exported_is_reported(tmpfs: dict[str, str], message: str, image: str) -> None:
    options = server_options(image, "unused")
    del options["volumes"], options["read_only"]
    options["tmpfs"] |= tmpfs
    output = run_until_failure(**options)
    assert output.startswith(f"fileserver: /storage: {message}wanted one that can be exported (ext4, xfs or btrfs)")
    assert output.count("\n") == 1


def test_read_only_disk_is_reported_in_one_line(image: str) -> None:
    with volume_of() as volume:
        options = server_options(image, volume)
        options["volumes"][volume]["mode"] = "ro"
        assert run_until_failure(**options) == (
            "fileserver: /storage: found a file system that is mounted read-only, wanted a writable one\n"
        )


def test_export_owned_by_another_user_is_reported(image: str) -> None:
    with volume_of() as volume:
        with run_container(**server_options(image, volume)) as server:
            wait_until(lambda: run_probe(server)[0] == 0, "NFS answers", 30)
            assert server.execute("/bin/chown", "5000", "/storage/home")[0] == 0
        assert run_until_failure(**server_options(image, volume)) == (
            "fileserver: /storage/home: found owner 5000, wanted owner 0\n"
        )


def run_until_failure(**options: Any) -> str:
    """Start a container, check that it ends with status 1, and return its output."""
    with run_container(**options) as container:
        assert container.docker.wait(timeout=180)["StatusCode"] == 1
        return container.log()


def test_the_probe_fails_if_an_export_failed(image: str) -> None:
    broken = "sed 's#Path = /storage/project#Path = /storage/none#' /etc/ganesha/ganesha.conf > /tmp/ganesha.conf"
    program = (
        f"{broken} && {PYTHON} -c '{PREPARE}' && exec ganesha.nfsd -F -f /tmp/ganesha.conf -L /dev/stdout -p /tmp/pid"
    )
    with volume_of() as volume:
        options = {**server_options(image, volume), "entrypoint": ["/bin/sh", "-c", program]}
        with run_container(**options) as server:
            wait_until(lambda: "NFS SERVER INITIALIZED" in server.log(), "Ganesha reports that it is up", 30)
            assert run_probe(server) == (1, "nfs: /project: no such export\n")


PREPARE = 'from pathlib import Path; from labfiles.storage import prepare_storage; prepare_storage(Path("/storage"))'


def run_probe(server: Container) -> tuple[int, str]:
    """Run the NFS probe in the server's container, and return the exit status and the output."""
    return server.execute(PYTHON, "-m", "labfiles.nfs")


def test_the_containers_have_only_their_capabilities(pod: Pod) -> None:
    # The bits of the capabilities: CHOWN 0, DAC_OVERRIDE 1, DAC_READ_SEARCH 2, FOWNER 3, SETGID 6, SETUID 7
    for container, held in ((pod.server, "cf"), (pod.labfiles, "b")):
        status = container.execute("/bin/cat", "/proc/1/status")[1]
        assert re.search(rf"CapEff:\s+0*{held}\n", status)
        assert "NoNewPrivs:\t1" in status
        assert "Seccomp:\t2" in status, "no seccomp filter is loaded"


def test_the_filter_refuses_system_calls(image: str) -> None:
    program = "from labfiles.seccomp import load_filter; load_filter(); import os; os.{}"
    for call, message in (
        ("chroot('/')", "Operation not permitted"),
        ("unshare(0)", "Operation not permitted"),
        ("getpid()", ""),
    ):
        with run_container(image, "-c", program.format(call), entrypoint=PYTHON, cap_add=["SYS_ADMIN"]) as container:
            container.docker.wait(timeout=180)
            assert message in container.log()
            assert bool(message) == ("Error" in container.log())


def test_the_image_has_no_installer_and_no_compiler(image: str) -> None:
    with run_container(image, "60", entrypoint="/bin/sleep", **confined()) as container:
        for program in ("pip", "pip3", "gcc", "curl"):
            search = f"command -v {program} || ls /opt/labfiles/bin/{program}"
            assert container.execute("/bin/sh", "-c", search)[0] != 0
