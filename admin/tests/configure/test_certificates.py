"""Tests that `configure` checks nginx's certificate as browsers and nginx do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, PrivateFormat
from labadmin.configure.certificates import CertificateError, KeyFileError, Pair, check_hostname, check_pair
from labtesting.certificates import PEM, Authority, new_key

NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("lab.example.org", True),
        ("LAB.example.org", True),
        ("*.example.org", True),
        ("*.org", False),
        ("example.org", False),
        ("*.lab.example.org", False),
    ],
)
def test_certificate_matches_only_its_names(name: str, good: bool, tmp_path: Path) -> None:
    certificate = Authority(tmp_path).write(tmp_path, name)
    if good:
        check_hostname(certificate, "lab.example.org")
    else:
        with pytest.raises(CertificateError, match="wanted one for lab"):
            check_hostname(certificate, "lab.example.org")


def test_common_name_does_not_count_as_a_host_name(tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match="found a certificate for no name"):
        check_hostname(Authority(tmp_path).certificate, "lab.example.org")


def read(folder: Path) -> Pair:
    return Pair((folder / "tls.crt").read_text(), (folder / "tls.key").read_text())


def test_not_yet_valid_certificate_is_refused(tmp_path: Path) -> None:
    Authority(tmp_path).write(tmp_path, start=timedelta(days=1))
    with pytest.raises(CertificateError, match="found a certificate that is valid from"):
        check_pair(read(tmp_path), NOW)


def test_a_key_with_a_password_is_refused(tmp_path: Path) -> None:
    key = new_key()
    Authority(tmp_path).write(tmp_path, key=key)
    locked = key.private_bytes(PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"sesame")).decode()
    with pytest.raises(KeyFileError, match="found a key with a password"):
        check_pair(Pair(read(tmp_path).certificate, locked), NOW)
