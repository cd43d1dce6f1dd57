"""Tests of the settings of a standalone lab: defaults, accepted values and errors."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from lsstlab.settings import Settings, SettingsError, load


def test_the_defaults_are_those_of_the_image() -> None:
    assert load({}) == Settings(
        user="demo",
        password=None,
        login="pam",
        ip="127.0.0.1",
        port=8000,
        hub_port=8081,
        proxy_api_port=8001,
        state=Path("/var/lib/lab"),
        proxy=Path("/opt/proxy"),
        command=Path(sys.prefix) / "bin" / "lab",
    )


@pytest.mark.parametrize("text", ["correct horse\n", "\n correct horse\t\n\n", "correct horse"])
def test_a_password_file_is_read_without_outer_white_space(tmp_path: Path, text: str) -> None:
    (tmp_path / "password").write_text(text)
    assert load({"LAB_PASSWORD_FILE": str(tmp_path / "password")}).password == "correct horse"


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({"LAB_USER": "Vera Rubin"}, ["LAB_USER", "'Vera Rubin'", "lower case"]),
        ({"LAB_USER": "../etc"}, ["LAB_USER", "'../etc'"]),
        ({"LAB_LOGIN": "ldap"}, ["LAB_LOGIN", "'ldap'", "pam or password"]),
        ({"LAB_PORT": "eighty"}, ["LAB_PORT", "'eighty'", "1 to 65535"]),
        ({"LAB_PORT": "70000"}, ["LAB_PORT", "'70000'"]),
        ({"LAB_PORT": "9" * 5000}, ["LAB_PORT", "1 to 65535"]),
        ({"LAB_IP": "localhost"}, ["LAB_IP", "'localhost'", "IP address"]),
        ({"LAB_PASSWORD": "x" * 600}, ["LAB_PASSWORD", "600 characters", "200 or fewer"]),
        ({"LAB_HUB_PORT": "0"}, ["LAB_HUB_PORT", "'0'"]),
        ({"LAB_PORT": "8081"}, ["LAB_PORT", "8081", "wanted another port"]),
        ({"LAB_CLEAN_SETTINGS": "yes"}, ["LAB_CLEAN_SETTINGS", "'yes'", "0 or 1"]),
        ({"LAB_PASSWORD_FILE": "/no/such/file"}, ["LAB_PASSWORD_FILE", "/no/such/file"]),
        ({"LAB_PASSWORD": "long enough", "LAB_PASSWORD_FILE": "/x"}, ["LAB_PASSWORD_FILE", "both"]),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(environ: dict[str, str], names: list[str]) -> None:
    with pytest.raises(SettingsError) as raised:
        load(environ)
    for name in names:
        assert name in str(raised.value)


def test_an_ipv6_address_has_brackets() -> None:
    assert load({"LAB_IP": "::"}).ip == "[::]"


@pytest.mark.parametrize("password", ["short", "two lines\nof text", "a bell\aand more"])
def test_a_refused_password_is_never_quoted(password: str) -> None:
    with pytest.raises(SettingsError, match="LAB_PASSWORD: found") as raised:
        load({"LAB_PASSWORD": password})
    assert password not in str(raised.value)


@pytest.mark.parametrize("password", ["short", "two lines\nof text", "a bell\aand more"])
def test_a_refused_password_of_a_file_is_never_quoted(tmp_path: Path, password: str) -> None:
    (tmp_path / "password").write_text(password)
    with pytest.raises(SettingsError, match="LAB_PASSWORD_FILE: found") as raised:
        load({"LAB_PASSWORD_FILE": str(tmp_path / "password")})
    assert password not in str(raised.value)


def test_binary_password_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "password").write_bytes(b"\xff\xfe long enough")
    with pytest.raises(SettingsError) as raised:
        load({"LAB_PASSWORD_FILE": str(tmp_path / "password")})
    assert str(raised.value) == f"LAB_PASSWORD_FILE: cannot read {tmp_path / 'password'}: not text"
