"""Certificates and keys, as Secrets have them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from labadmin.doctor.findings import Verdict, fail, warn

WARN_DAYS = 21
LONGEST_CHAIN = 6


class BadCertificateError(Exception):
    """What lies there is of no use; the message says why, and never what it is."""


def read_chain(data: bytes, key: str) -> list[x509.Certificate]:
    """Read certificates.

    Raises
    ------
    BadCertificateError
        There is none.
    """
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise BadCertificateError(f"{key} holds no certificate that can be read") from error


def check_key(certificate: x509.Certificate, data: bytes) -> None:
    """See that a key is the certificate's.

    Raises
    ------
    BadCertificateError
        It is another's, or none.
    """
    try:
        public = load_pem_private_key(data, None).public_key()
    except (ValueError, TypeError) as error:
        raise BadCertificateError("tls.key holds no key that can be read") from error
    spki = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if public.public_bytes(*spki) != certificate.public_key().public_bytes(*spki):
        raise BadCertificateError("tls.key is not the key of tls.crt")


def list_names(certificate: x509.Certificate) -> list[str]:
    """Give the names and addresses that a certificate is for."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    addresses = found.get_values_for_type(x509.IPAddress)
    return [*found.get_values_for_type(x509.DNSName), *map(str, addresses)]


def matches_host(certificate: x509.Certificate, host: str) -> bool:
    """Tell whether a certificate is for a host; a star stands for one label."""
    try:
        host = str(ipaddress.ip_address(host))
    except ValueError:
        host = host.lower()
    _, _, domain = host.partition(".")
    return bool({host, f"*.{domain}"} & {name.lower() for name in list_names(certificate)})


def is_signed(chain: list[x509.Certificate], authorities: list[x509.Certificate]) -> bool:
    """Tell whether one of the authorities has signed a certificate, or what comes after it in its chain."""
    current = chain[0]
    for _ in range(LONGEST_CHAIN):
        if any(current == one or is_issued_by(current, one) for one in authorities):
            return True
        above = next((one for one in chain if one != current and is_issued_by(current, one)), None)
        if above is None:
            return False
        current = above
    return False


def is_issued_by(certificate: x509.Certificate, by: x509.Certificate) -> bool:
    """Tell whether a certificate was signed by another."""
    try:
        certificate.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def check_certificate(
    secret: str, data: Mapping[str, bytes], hosts: list[str], now: float, fix: str
) -> Iterator[Verdict]:
    """Judge a certificate by itself: it can be read, its key is its own, it holds, and it is for these hosts."""
    try:
        certificate = read_chain(data.get("tls.crt", b""), "tls.crt")[0]
        check_key(certificate, data.get("tls.key", b""))
    except BadCertificateError as error:
        yield fail(f"Secret {secret}: {error}", fix)
        return
    today = datetime.fromtimestamp(now, UTC)
    ends, begins = certificate.not_valid_after_utc, certificate.not_valid_before_utc
    if ends <= today:
        yield fail(f"Secret {secret}: the certificate expired on {ends:%Y-%m-%d}", fix)
    elif begins > today:
        yield fail(f"Secret {secret}: the certificate is valid from {begins:%Y-%m-%d %H:%M} UTC on only", fix)
    elif (ends - today).days < WARN_DAYS:
        yield warn(f"Secret {secret}: the certificate expires on {ends:%Y-%m-%d}, in {(ends - today).days} days", fix)
    for host in hosts:
        if not matches_host(certificate, host):
            names = ", ".join(list_names(certificate)) or "nobody"
            yield fail(f"Secret {secret}: found a certificate for {names}, wanted {host}", fix)
