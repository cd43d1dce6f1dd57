"""Tests of the settings, and of the error line for a missing or wrong setting."""

from __future__ import annotations

from pathlib import Path

import pytest
from labfiles.settings import SettingsError, load


@pytest.fixture
def token(tmp_path: Path) -> str:
    (tmp_path / "token").write_text("0123456789abcdef\n")
    return str(tmp_path / "token")


def test_only_the_token_is_required(token: str) -> None:
    settings = load({"LABFILES_TOKEN_FILE": token, "LABFILES_PORT": ""})
    assert (settings.storage, settings.port, settings.metrics_port) == (Path("/storage"), 8080, 9465)
    assert (settings.usage_seconds, settings.usage_rate) == (21600, 1000)
    assert (settings.nfs, settings.nfs_port) == (True, 2049)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "LABFILES_TOKEN_FILE",
            "",
            "LABFILES_TOKEN_FILE: missing, wanted the absolute path of a file with the token",
        ),
        ("LABFILES_TOKEN_FILE", "/none", "LABFILES_TOKEN_FILE: cannot read /none: No such file or directory"),
        ("LABFILES_STORAGE", "storage", "LABFILES_STORAGE: found 'storage', wanted the absolute path of the volume"),
        ("LABFILES_PORT", "70000", "LABFILES_PORT: found '70000', wanted a port, 0 to 65535 (0: any free port)"),
        (
            "LABFILES_METRICS_PORT",
            "x",
            "LABFILES_METRICS_PORT: found 'x', wanted a port, 0 to 65535 (0: any free port)",
        ),
        ("LABFILES_NFS", "no", "LABFILES_NFS: found 'no', wanted true or false"),
        ("LABFILES_NFS_PORT", "0", "LABFILES_NFS_PORT: found '0', wanted a port, 1 to 65535"),
        ("LABFILES_USAGE_SECONDS", "0", "LABFILES_USAGE_SECONDS: found '0', wanted 1 to 2678400 seconds"),
        ("LABFILES_USAGE_RATE", "-1", "LABFILES_USAGE_RATE: found '-1', wanted 1 to 1000000 files per second"),
    ],
)
def test_a_wrong_setting_is_named(name: str, text: str, message: str, token: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load({"LABFILES_TOKEN_FILE": token, name: text})
    assert str(raised.value) == message


@pytest.mark.parametrize("weak", ["", "short", "0123456789 abcdef", "schlüssel-0123456789"])
def test_a_weak_token_is_refused_and_not_shown(weak: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(weak)
    with pytest.raises(SettingsError) as raised:
        load({"LABFILES_TOKEN_FILE": str(tmp_path / "token")})
    assert f"found {len(weak)} characters in {tmp_path}/token, wanted a random secret" in str(raised.value)
    assert not weak or weak not in str(raised.value)


def test_binary_token_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"\xff\xfe a-long-random-secret")
    with pytest.raises(SettingsError) as raised:
        load({"LABFILES_TOKEN_FILE": str(tmp_path / "token")})
    assert str(raised.value) == f"LABFILES_TOKEN_FILE: cannot read {tmp_path}/token: not text"
