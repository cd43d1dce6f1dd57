"""The server is killed under load, ended while files are open, given a full disk, or a storage that will not do."""

from __future__ import annotations

import json
import re
import sys
import time
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
# The grace is 30 s; Ganesha ends it when all that had locks have them back.
STALL_SECONDS = 45
HOME = 5000


def put(pod: Pod, path: str) -> int:
    """Ask for a folder as the hub does; give the status."""
    answer = httpx.put(f"{pod.api}/v1/{path}", headers={"Authorization": f"Bearer {TOKEN}"})
    return answer.status_code


def say(pod: Pod, *command: str) -> str:
    """Run a command in the server's container; give what it printed."""
    status, said = pod.server.execute(*command)
    assert status == 0, said
    return said


def lines(said: str) -> list[dict[str, Any]]:
    """Give what a program of the client told."""
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


def as_user(*command: str) -> list[str]:
    """Have the client run a command as the user of the home."""
    return ["setpriv", f"--reuid={HOME}", f"--regid={HOME}", "--clear-groups", *command]


@pytest.mark.timeout(240)
def test_a_server_that_is_killed_loses_nothing_and_forgets_no_lock(pod: Pod, tmp_path: Path) -> None:
    assert put(pod, f"homes/{HOME}") in {200, 201}
    # Root is nobody here, and the load looks at all as root's kernel sees it: so the folder is open to nobody.
    folder = f"/storage/home/{HOME}/load"
    pod.labfiles.execute("/bin/mkdir", folder)
    say(pod, "/bin/chown", "65534", folder)
    say(pod, "/bin/chmod", "711", f"/storage/home/{HOME}")
    command = [sys.executable, str(HERE / "load.py"), f"/mnt/{HOME}/load", "3"]
    with run_on_client(f"{pod.address}:/home", *command, log=tmp_path / "log") as client:
        client.wait_for(lambda said: said.count("synced") > 3, "it writes")
        pod.server.docker.kill("SIGKILL")
        synced = lines(client.log.read_text())[-1]["synced"]
        pod.server.docker.start()
        found = lines(client.finish())
    end, free = found[-2], found[-1]
    print(f"killed after {synced} synced records; the stall was {end['pause']} s")  # noqa: T201
    assert end["count"] > synced
    assert end["records"] is True, "what was synced is there, in order, once"
    assert len(end["copies"]) > 1
    assert set(end["copies"].values()) == {True}
    assert end["early"] is True, "a file that was open before can still be read"
    assert end["locked"] == {"lockf": True, "flock": True}, "locks were reclaimed"
    assert free == {"free": {"lockf": True, "flock": True}}
    assert 1 < end["pause"] < STALL_SECONDS


def test_a_server_that_is_asked_to_end_does_so_at_once_and_comes_back(pod: Pod) -> None:
    start = time.monotonic()
    pod.server.docker.kill("SIGTERM")
    assert pod.server.docker.wait(timeout=20)["StatusCode"] == 0
    assert time.monotonic() - start < 5
    assert metric(pod, "labfiles_nfs_up") == 0
    pod.server.docker.start()
    pod.wait_until_ready()
    assert metric(pod, "labfiles_nfs_up") == 1


def metric(pod: Pod, name: str) -> float:
    """Give a metric of labfiles."""
    text = httpx.get(f"http://{pod.address}:9465/metrics").text
    return float(re.search(rf"^{name} (\S+)$", text, re.MULTILINE)[1])  # type: ignore[index]  # it is there


FILL = """
set -u
cd /mnt/home/5000
head -c 1000000 /dev/urandom > before && sync before && cp before /tmp/before
dd if=/dev/zero of=big bs=1M conv=fsync 2>&1 | grep -o 'No space left on device'
echo '{"full": true}'
cmp before /tmp/before && ls > /dev/null && echo '{"reads": true}'
{ head -c 2000000 /dev/zero > more && sync more; } 2> /dev/null || echo '{"still refused": true}'
sleep 3
rm big && head -c 1000000 /dev/zero > after && sync after && echo '{"goes on": true}'
"""


def test_a_full_disk_refuses_writes_and_nothing_else(image: str, tmp_path: Path) -> None:
    (tmp_path / "tokens").mkdir()
    with (
        small_disk(tmp_path, "48M", 64) as options,
        volume_of(**options) as volume,
        run_pod(image, volume, tmp_path / "tokens") as pod,
    ):
        assert put(pod, f"homes/{HOME}") == 201
        with run_on_client(f"{pod.address}:/", *as_user("bash", "-c", FILL), log=tmp_path / "log") as client:
            client.wait_for(lambda said: "full" in said, "the disk is full")
            assert metric(pod, "labfiles_storage_available_bytes") < 2**20
            for _ in range(3):
                assert pod.answers, "a server with a full disk is ready"
            said = client.finish()
        assert "No space left on device" in said
        assert lines(said) == [{"full": True}, {"reads": True}, {"still refused": True}, {"goes on": True}]
        statuses = [put(pod, f"projects/{gid}") for gid in range(6000, 6040)]
        assert {201, 507} == set(statuses), "no room for a folder is told as such"


def test_a_disk_that_was_made_larger_is_served_as_it_was(image: str, tmp_path: Path) -> None:
    resize = need_program("resize2fs", "/sbin/resize2fs", how="apt install e2fsprogs")
    (tmp_path / "tokens").mkdir()
    with small_disk(tmp_path, "48M", 1000) as options:
        with volume_of(**options) as volume, run_pod(image, volume, tmp_path / "tokens") as pod:
            assert put(pod, f"homes/{HOME}") == 201
            before = metric(pod, "labfiles_storage_bytes")
        # What kubelet does when a claim asks for more, which does it while the disk is mounted.
        as_root("truncate", "--size=96M", tmp_path / "disk")
        as_root("losetup", "--set-capacity", options["device"])
        as_root(resize, "-f", options["device"])
        with volume_of(**options) as volume, run_pod(image, volume, tmp_path / "tokens") as pod:
            assert metric(pod, "labfiles_storage_bytes") > 1.8 * before
            assert put(pod, f"homes/{HOME}") == 200


@pytest.mark.parametrize(
    ("tmpfs", "says"),
    [
        ({}, "found a file system of type overlay and name_to_handle_at: Operation not supported, "),
        ({"/storage": ""}, "found a file system of type tmpfs, "),
    ],
    ids=["overlay", "tmpfs"],
)
def test_a_disk_that_cannot_be_exported_is_told_in_one_line(tmpfs: dict[str, str], says: str, image: str) -> None:
    options = server_options(image, "unused")
    del options["volumes"], options["read_only"]
    options["tmpfs"] |= tmpfs
    said = ended(**options)
    assert said.startswith(f"fileserver: /storage: {says}wanted one that can be exported (ext4, xfs or btrfs)")
    assert said.count("\n") == 1


def test_a_disk_that_is_mounted_read_only_is_told_in_one_line(image: str) -> None:
    with volume_of() as volume:
        options = server_options(image, volume)
        options["volumes"][volume]["mode"] = "ro"
        assert ended(**options) == (
            "fileserver: /storage: found a file system that is mounted read-only, wanted one to write to\n"
        )


def test_an_export_of_somebody_else_is_told_in_one_line(image: str) -> None:
    with volume_of() as volume:
        with run_container(**server_options(image, volume)) as server:
            wait_until(lambda: probe(server)[0] == 0, "NFS answers", 30)
            assert server.execute("/bin/chown", "5000", "/storage/home")[0] == 0
        assert ended(**server_options(image, volume)) == (
            "fileserver: /storage/home: found owner 5000, wanted owner 0\n"
        )


def ended(**options: Any) -> str:
    """Start a container that ends with status 1; give what it printed."""
    with run_container(**options) as container:
        assert container.docker.wait(timeout=20)["StatusCode"] == 1
        return container.log()


def test_the_probe_fails_when_an_export_failed_although_ganesha_says_that_it_is_up(image: str) -> None:
    broken = "sed 's#Path = /storage/project#Path = /storage/none#' /etc/ganesha/ganesha.conf > /tmp/ganesha.conf"
    program = (
        f"{broken} && {PYTHON} -c '{PREPARE}' && exec ganesha.nfsd -F -f /tmp/ganesha.conf -L /dev/stdout -p /tmp/pid"
    )
    with volume_of() as volume:
        options = {**server_options(image, volume), "entrypoint": ["/bin/sh", "-c", program]}
        with run_container(**options) as server:
            wait_until(lambda: "NFS SERVER INITIALIZED" in server.log(), "Ganesha says that it is up", 30)
            assert probe(server) == (1, "nfs: /project: no such export\n")


PREPARE = 'from pathlib import Path; from labfiles.storage import prepare; prepare(Path("/storage"))'


def probe(server: Container) -> tuple[int, str]:
    """Run the probe."""
    return server.execute(PYTHON, "-m", "labfiles.nfs")


def test_it_holds_the_capabilities_of_the_manifest_and_no_other(pod: Pod) -> None:
    # CHOWN 0, DAC_OVERRIDE 1, DAC_READ_SEARCH 2, FOWNER 3, SETGID 6, SETUID 7
    for container, held in ((pod.server, "cf"), (pod.labfiles, "b")):
        status = container.execute("/bin/cat", "/proc/1/status")[1]
        assert re.search(rf"CapEff:\s+0*{held}\n", status)
        assert "NoNewPrivs:\t1" in status
        assert "Seccomp:\t2" in status, "system calls are filtered"


def test_what_the_server_never_needs_is_refused_to_it(image: str) -> None:
    program = "from labfiles.confine import confine; confine(); import os; os.{}"
    for call, says in (
        ("chroot('/')", "Operation not permitted"),
        ("unshare(0)", "Operation not permitted"),
        ("getpid()", ""),
    ):
        with run_container(image, "-c", program.format(call), entrypoint=PYTHON, cap_add=["SYS_ADMIN"]) as container:
            container.docker.wait(timeout=20)
            assert says in container.log()
            assert bool(says) == ("Error" in container.log())


def test_nothing_in_it_installs_packages_or_compiles(image: str) -> None:
    with run_container(image, "60", entrypoint="/bin/sleep", **confined()) as container:
        for program in ("pip", "pip3", "gcc", "curl"):
            found = f"command -v {program} || ls /opt/labfiles/bin/{program}"
            assert container.execute("/bin/sh", "-c", found)[0] != 0
