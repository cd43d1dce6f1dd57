"""Tests of labfiles over HTTP: created folders, refused requests, and complete folders even after a crash."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from labtesting.fileserver import SOURCE, Labfiles, as_root, root_command, run_labfiles
from labtesting.hub_process import wait_until
from labtesting.logevents import assert_log_events


def read_owner(path: Path) -> tuple[int, int, str]:
    """Return the owner, the group and the mode of a file or folder."""
    status = path.lstat()
    return status.st_uid, status.st_gid, f"{stat.S_IMODE(status.st_mode):04o}"


def test_a_home_is_created_once(labfiles: Labfiles) -> None:
    first, again = labfiles.put("homes/583231"), labfiles.put("homes/583231")
    assert (first.status_code, first.json()) == (201, {"path": "/home/583231", "made": True})
    assert (again.status_code, again.json()) == (200, {"path": "/home/583231", "made": False})
    assert read_owner(labfiles.storage / "home/583231") == (583231, 583231, "0700")


def test_a_project_folder_belongs_to_its_group(labfiles: Labfiles) -> None:
    assert labfiles.put("projects/7000").status_code == 201
    assert read_owner(labfiles.storage / "project/7000") == (0, 7000, "2770")
    assert labfiles.put("projects/7000").status_code == 200


def test_each_created_folder_has_one_line_in_the_log(labfiles: Labfiles) -> None:
    labfiles.put("projects/7000")
    labfiles.put("projects/7000")
    (line,) = [line for line in labfiles.lines() if line["log.logger"] == "labfiles.folders"]
    del line["@timestamp"]
    assert line == {
        "log.level": "info",
        "log.logger": "labfiles.folders",
        "message": "created a project folder",
        "service.name": "fileserver",
        "event.dataset": "fileserver.log",
        "fileserver.path": "/project/7000",
        "fileserver.owner": "0:7000",
        "fileserver.mode": "2770",
        "fileserver.asked_by": "127.0.0.1",
    }


def test_the_mode_of_a_home_is_restored(labfiles: Labfiles) -> None:
    labfiles.put("homes/5000")
    as_root("chmod", "0777", labfiles.storage / "home/5000")
    assert labfiles.put("homes/5000").status_code == 200
    assert read_owner(labfiles.storage / "home/5000")[2] == "0700"


@pytest.mark.parametrize(
    ("make", "path", "message"),
    [
        (["mkdir"], "homes/5000", "/home/5000: found owner 0, wanted 5000"),
        (
            ["mkdir"],
            "projects/5000",
            "/project/5000: found owner 0:0 and mode 0755, wanted 0:5000 and mode 2770",
        ),
        (["touch"], "homes/5000", "/home/5000: found a file, wanted a folder"),
        (["ln", "-s", "/etc"], "homes/5000", "/home/5000: found a symbolic link, wanted a folder"),
        (["ln", "-s", "nowhere"], "projects/5000", "/project/5000: found a symbolic link, wanted a folder"),
        (["mkfifo"], "projects/5000", "/project/5000: found a special file, wanted a folder"),
    ],
)
def test_existing_entry_of_another_kind_is_not_changed(
    make: list[str], path: str, message: str, labfiles: Labfiles
) -> None:
    existing = labfiles.storage / path.replace("s/", "/")
    as_root(*make, existing)
    if make == ["mkdir"]:
        as_root("chmod", "755", existing)
    before = existing.lstat()
    refused = labfiles.put(path)
    assert refused.status_code == 409
    assert refused.json() == {"error": message}
    assert (existing.lstat().st_ino, existing.lstat().st_mode) == (before.st_ino, before.st_mode)


def test_the_target_of_a_link_is_not_changed(labfiles: Labfiles, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir(mode=0o755)
    as_root("ln", "-s", target, labfiles.storage / "home/5000")
    assert labfiles.put("homes/5000").status_code == 409
    assert read_owner(target) == (os.geteuid(), os.getegid(), "0755")


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("homes/999", 400, "found the id '999', wanted a number from 1000 to 2147483647, not 60000 to 65535"),
        ("projects/65534", 400, "found the id '65534', wanted a number from 1000"),
        ("projects/2147483648", 400, "found the id '2147483648', wanted a number from 1000"),
        ("homes/%2e%2e", 400, "found the id '%2e%2e', wanted a number"),
        ("homes/5000/x", 404, "found '/v1/homes/5000/x', wanted PUT /v1/homes/<uid> or /v1/projects/<gid>"),
        ("homes/5000?x", 400, "found the id '5000?x'"),
        ("secrets/5000", 404, "wanted PUT /v1/homes/<uid>"),
    ],
)
def test_a_wrong_request_gets_the_reason(path: str, status: int, message: str, labfiles: Labfiles) -> None:
    refused = labfiles.put(path)
    assert refused.status_code == status
    assert message in refused.json()["error"]
    assert os.listdir(labfiles.storage / "home") == os.listdir(labfiles.storage / "project") == []


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PATCH"])
def test_other_methods_are_refused(method: str, labfiles: Labfiles) -> None:
    labfiles.put("homes/5000")
    refused = httpx.request(method, f"{labfiles.url}/v1/homes/5000")
    assert (refused.status_code, refused.headers["Allow"]) == (405, "PUT")
    assert (labfiles.storage / "home/5000").is_dir()


def test_without_the_token_nothing_is_created(labfiles: Labfiles) -> None:
    for headers in ({}, {"Authorization": "Bearer"}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic x"}):
        refused = httpx.put(f"{labfiles.url}/v1/homes/5000", headers=headers)
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert os.listdir(labfiles.storage / "home") == []
    assert labfiles.token_file.read_text() not in labfiles.log.read_text()


def test_a_new_token_needs_no_restart(labfiles: Labfiles) -> None:
    old = labfiles.token_file.read_text()
    labfiles.token_file.write_text("another-token-that-is-hard-to-guess")
    assert labfiles.put("homes/5000", old).status_code == 401
    assert labfiles.put("homes/5000", "another-token-that-is-hard-to-guess").status_code == 201
    labfiles.token_file.unlink()
    refused = labfiles.put("homes/5001", old)
    assert (refused.status_code, refused.json()["error"][:33]) == (503, "LABFILES_TOKEN_FILE: cannot read ")


def test_a_body_that_is_too_long_is_not_read(labfiles: Labfiles) -> None:
    refused = httpx.put(f"{labfiles.url}/v1/homes/5000", content=b"x" * 5000)
    assert refused.status_code == 413
    assert refused.headers["Connection"] == "close"


@pytest.mark.parametrize("length", ["9" * 5000, "4097", "-1", "x"])
def test_a_wrong_length_is_refused_before_the_token(length: str, labfiles: Labfiles) -> None:
    connection = http.client.HTTPConnection(labfiles.url.removeprefix("http://"), timeout=180)
    connection.request("PUT", "/v1/homes/5000", headers={"Content-Length": length})
    assert connection.getresponse().status == 413
    connection.close()
    assert_log_events(labfiles.log.read_text().splitlines())


def test_a_client_that_disconnects_has_one_line_in_the_log(labfiles: Labfiles) -> None:
    port = int(labfiles.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # `close` resets the connection
        client.sendall(b"PUT /v1/homes/5000 HTTP/1.1\r\n")
    wait_until(lambda: "reset by peer" in labfiles.log.read_text(), "the reset is logged")
    line = assert_log_events(labfiles.log.read_text().splitlines())[-1]
    assert (line["log.level"], line["client.address"]) == ("warning", "127.0.0.1")
    assert line["message"].startswith("a request failed: ConnectionResetError(")


def test_forty_requests_at_once_create_one_folder_once(labfiles: Labfiles) -> None:
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(labfiles.put, ["projects/7000"] * 40))
    assert sorted(answer.status_code for answer in answers) == [200] * 39 + [201]


def test_a_slow_client_does_not_delay_others(labfiles: Labfiles) -> None:
    port = int(labfiles.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(b"PUT /v1/homes/5000 HTTP/1.1\r\nContent-Length: 10\r\n")
        assert labfiles.put("homes/5001").status_code == 201


def test_after_a_kill_all_folders_are_complete(tmp_path: Path) -> None:
    storage = tmp_path / "storage"
    storage.mkdir()
    as_root("chown", "0:0", storage)
    for start in range(2000, 5000, 1000):
        with run_labfiles(tmp_path, storage) as labfiles:

            def request_project(number: int, labfiles: Labfiles = labfiles) -> int:
                try:
                    return labfiles.put(f"projects/{number}").status_code
                except httpx.TransportError:
                    return 0

            with ThreadPoolExecutor(8) as pool:
                statuses = pool.map(request_project, range(start, start + 1000))
                while not (storage / f"project/{start + 100}").exists():
                    time.sleep(0.001)
                labfiles.signal(signal.SIGKILL)
                assert 0 in set(statuses), "labfiles answered all requests before it was killed"
        labfiles.log.unlink()  # the harness reads the ports of the next process from a new log
        assert {read_owner(path) for path in (storage / "project").iterdir()} == {
            (0, int(path.name), "2770") for path in (storage / "project").iterdir()
        }
    with run_labfiles(tmp_path, storage):
        command = [*root_command(), "ls", "-A", str(storage / "labfiles/making")]
        assert subprocess.run(command, capture_output=True, check=True).stdout == b"", "incomplete folders are left"


def test_a_sigterm_ends_the_program(labfiles: Labfiles) -> None:
    assert labfiles.stop() == 0


def test_a_wrong_setting_ends_the_program_with_one_line() -> None:
    environ = {**os.environ, "PYTHONPATH": str(SOURCE), "LABFILES_TOKEN_FILE": ""}
    ended = subprocess.run([sys.executable, "-m", "labfiles"], env=environ, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert ended.stderr.startswith("labfiles: LABFILES_TOKEN_FILE: missing, wanted ")


def test_the_log_is_json_for_any_request(labfiles: Labfiles) -> None:
    labfiles.put('homes/"%0a{x')
    (line,) = [line for line in labfiles.log.read_text().splitlines() if "refused" in line]
    [event] = assert_log_events([line])
    assert event["fileserver.status"] == 400
