"""Tests of the output folder: writes are atomic, files are private, equal in each run, and kept if damaged."""

from __future__ import annotations

import base64
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from labadmin.configure.site_folder import FolderError
from labadmin.configure.site_keys import DamageError

from admin.tests.configure.sample import LOGS, SMALL, SampleSite
from tools.components import ROOT


def test_second_run_changes_nothing(site: SampleSite) -> None:
    assert "15 files written" in site.run()
    first = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in site.output.iterdir()}
    assert "nothing has changed" in site.run()
    assert {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in site.output.iterdir()} == first


def test_two_sites_share_no_random_value(site: SampleSite, tmp_path: Path) -> None:
    other = SampleSite.make(tmp_path / "other", SMALL + LOGS)
    for created in (site, other):
        created.configure()
    for name in ("hub-secret.yaml", "logstashrmq-tls-secret.yaml"):
        shared = set(site.data(name).values()) & set(other.data(name).values())
        assert shared <= {"made-up-client-secret"}


def test_only_the_owner_can_read_the_folder(site: SampleSite) -> None:
    site.configure()
    for file in site.output.iterdir():
        file.chmod(0o644)
    site.output.chmod(0o755)
    site.configure()
    assert site.output.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in site.output.iterdir()} == {0o600}


def test_yaml_files_do_not_contain_the_key_of_the_authority(site: SampleSite) -> None:
    site.configure()
    key = (site.output / "log-authority.pem").read_text().partition("-----BEGIN PRIVATE KEY-----")[2]
    assert len(key) > 100
    for name in site.files():
        if name.endswith((".yaml", ".yml", ".json")):
            assert "namespace" in name or key not in "".join(site.data(name).values())
    assert {name for name in site.files() if not name.endswith(".yaml")} == {".gitignore", "log-authority.pem"}


def test_git_ignores_the_written_files(site: SampleSite) -> None:
    subprocess.run(["git", "init", "--quiet", site.folder], check=True)
    site.configure()
    status = subprocess.run(
        ["git", "-C", site.folder, "status", "--porcelain", "--untracked-files=all", site.output.name],
        check=True,
        capture_output=True,
        text=True,
    )
    assert status.stdout == ""
    for name in ("site/hub-secret.yaml", "site.toml", "secrets/amqp-password"):
        subprocess.run(["git", "check-ignore", "--quiet", name], cwd=ROOT, check=True)


def test_folder_with_other_files_is_refused(site: SampleSite) -> None:
    site.output.mkdir(mode=0o755)
    (site.output / "thesis.tex").write_text("")
    assert "found a folder with other files, wanted a new one" in site.run(code=1)
    assert list(site.files()) == ["thesis.tex"]
    assert site.output.stat().st_mode & 0o777 == 0o755


def test_unknown_file_in_the_folder_is_kept(site: SampleSite) -> None:
    site.configure()
    (site.output / "README").write_text("notes")
    site.configure("crypt-key")
    assert site.files()["README"] == "notes"


def test_second_run_at_the_same_time_is_refused(site: SampleSite) -> None:
    site.configure()
    descriptor = os.open(site.output, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    assert "another `nox -s configure` is writing there" in site.run(code=1)
    os.close(descriptor)
    site.run()


# A program that runs `configure`, and exits at the n-th call of a function that changes the disk, as in a power cut.
KILLED = """
import os, pathlib, sys
from labadmin.__main__ import main
left = [int(sys.argv[1])]
def counted(function):
    def call(*arguments, **options):
        left[0] -= 1
        if left[0] < 0:
            os._exit(99)
        return function(*arguments, **options)
    return call
for module, name in ((pathlib.Path, "rename"), (pathlib.Path, "replace"), (pathlib.Path, "unlink"), (os, "fsync"),
                     (os, "rmdir"), (os, "unlink")):
    setattr(module, name, counted(getattr(module, name)))
sys.exit(main(["configure", *sys.argv[2:]]))
"""


@pytest.mark.parametrize("step", [0, 1, 5, 14, 15, 16, 17, 18, 19, 20, 24, 30, 33, 34, 36, 45, 50, 60])
def test_next_run_undoes_or_finishes_an_interrupted_run(step: int, site: SampleSite) -> None:
    site.configure()
    old = site.files()
    site.write_settings(
        (site.folder / "site.toml").read_text().replace("[nginx]", "[labs]\nidle_seconds = 60\n[nginx]")
    )
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(step), site.folder / "site.toml", "--output", site.output],
        cwd=ROOT,
        env=os.environ | site.environ,
        check=False,
        capture_output=True,
    )
    assert done.returncode in (99, 0), done.stderr
    outcome = site.configure()
    new = site.files()
    assert {name for name in new if new[name] != old[name]} == {"hub-configmap.yaml"}
    assert outcome.after["hub-configmap.yaml"]["LAB_IDLE_SECONDS"] == "60"
    assert site.configure().changed == []
    assert not any(file.is_dir() for file in site.output.iterdir())


def test_failed_write_keeps_the_old_files(site: SampleSite, monkeypatch: pytest.MonkeyPatch) -> None:
    site.configure()
    old = site.files()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(FolderError, match="No space left on device"):
            site.configure("proxy-token")
    assert site.files() == old
    assert site.configure().changed == []


def test_file_in_place_of_the_folder_is_reported(site: SampleSite) -> None:
    site.output.write_text("a file")
    assert site.run(code=1) == "out: cannot be written: File exists\n"


# For each case: a file, its damaged content (None: the file is removed; a number: it is truncated to this length), and
# the expected error.
DAMAGE = {
    "a Secret that is missing": (
        "hub-secret.yaml",
        None,
        "hub-secret.yaml: missing, but filebeat-tls-secret.yaml exists",
    ),
    "half a file": ("hub-secret.yaml", 500, "hub-secret.yaml: "),
    "an empty file": ("hub-secret.yaml", 0, "hub-secret.yaml: found no Kubernetes object, wanted the secret hub"),
    "no YAML": ("hub-secret.yaml", "a: [", "hub-secret.yaml: found text that is not YAML"),
    "no base 64": (
        "fileserver-secret.yaml",
        "kind: Secret\nmetadata: {name: fileserver}\ndata: {FILESERVER_TOKEN: '%'}",
        "fileserver-secret.yaml: data: found a value that is not base64-encoded text",
    ),
    "another object": (
        "hub-secret.yaml",
        "kind: Secret\nmetadata: {name: nginx-tls}",
        "hub-secret.yaml: found the Secret nginx-tls, wanted the secret hub",
    ),
    "another token": (
        "fileserver-secret.yaml",
        "kind: Secret\nmetadata: {name: fileserver}\ndata: {FILESERVER_TOKEN: bWFkZS11cC1tYWRlLXVwLW1hZGUtdXA=}",
        "fileserver-secret.yaml: FILESERVER_TOKEN: found another token than in hub-secret.yaml",
    ),
    "no authority": ("log-authority.pem", None, "log-authority.pem: missing, but logstashrmq-tls-secret.yaml exists"),
    "half an authority": ("log-authority.pem", 700, "log-authority.pem: found no readable key"),
    "one side of two": (
        "filebeat-tls-secret.yaml",
        None,
        "filebeat-tls-secret.yaml: missing, but logstashrmq-tls-secret.yaml exists",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_file_is_reported_and_kept(damage: str, site: SampleSite) -> None:
    name, content, expected = DAMAGE[damage]
    site.configure()
    file = site.output / name
    match content:
        case None:
            file.unlink()
        case int():
            file.write_text(file.read_text()[:content])
        case str():
            file.write_text(content)
    damaged = site.files()
    with pytest.raises(DamageError) as raised:
        site.configure()
    assert str(raised.value).startswith(expected)
    assert site.files() == damaged


def test_damage_report_names_the_missing_file(site: SampleSite) -> None:
    site.configure()
    (site.output / "hub-secret.yaml").unlink()
    printed = site.run(code=1)
    assert "/out/hub-secret.yaml: missing" in f"/{printed}"
    assert "Nothing was written" in printed


def test_lost_file_is_restored_from_the_cluster(site: SampleSite) -> None:
    site.configure()
    old = site.files()
    file = site.output / "hub-secret.yaml"
    # `kubectl get secret hub -o yaml` prints the keys in another order, and other metadata.
    data = yaml.safe_load(old[file.name])["data"]
    metadata = {"creationTimestamp": "2026-01-01T00:00:00Z", "name": "hub", "uid": "any"}
    file.write_text(yaml.safe_dump({"data": data, "kind": "Secret", "metadata": metadata, "type": "Opaque"}))
    assert site.configure().changed == ["hub-secret.yaml"]
    assert site.files() == old


def test_keys_created_by_hand_are_kept(site: SampleSite) -> None:
    site.output.mkdir()
    by_hand = {
        "JUPYTERHUB_CRYPT_KEY": "ab" * 32,
        "CONFIGPROXY_AUTH_TOKEN": "cd" * 32,
        "FILESERVER_TOKEN": "made-by-hand-1234",
    }
    data = {name: base64.b64encode(f"{text}\n".encode()).decode() for name, text in by_hand.items()}
    body = {"kind": "Secret", "metadata": {"name": "hub"}, "data": data}
    (site.output / "hub-secret.yaml").write_text(yaml.safe_dump(body))
    site.configure()
    found = site.data("hub-secret.yaml")
    assert {name: found[name] for name in by_hand} == by_hand
    assert site.data("fileserver-secret.yaml") == {"FILESERVER_TOKEN": by_hand["FILESERVER_TOKEN"]}


def test_a_lost_authority_is_replaced_with_its_certificates(site: SampleSite) -> None:
    site.configure()
    lost = ["filebeat-tls-secret.yaml", "log-authority.pem", "logstashrmq-tls-secret.yaml"]
    for name in lost:
        (site.output / name).unlink()
    assert site.configure().changed == lost


def test_folder_can_be_a_symlink(site: SampleSite) -> None:
    (site.folder / "elsewhere").mkdir()
    site.output.symlink_to("elsewhere")
    site.configure()
    assert (site.folder / "elsewhere/hub-secret.yaml").exists()
    assert site.output.is_symlink()
