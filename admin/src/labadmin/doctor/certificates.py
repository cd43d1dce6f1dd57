"""Checks of certificates and keys in Secrets."""

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
    """A certificate or key cannot be used. The message has the reason, never the data."""


def read_chain(data: bytes, key: str) -> list[x509.Certificate]:
    """Return the certificates of a PEM text.

    Raises
    ------
    BadCertificateError
        Raised if the text has no readable certificate.
    """
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise BadCertificateError(f"{key} has no readable certificate") from error


def check_key(certificate: x509.Certificate, data: bytes) -> None:
    """Check that a key belongs to a certificate.

    Raises
    ------
    BadCertificateError
        Raised if the key belongs to another certificate, or cannot be read.
    """
    try:
        public = load_pem_private_key(data, None).public_key()
    except (ValueError, TypeError) as error:
        raise BadCertificateError("tls.key has no readable key") from error
    spki = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if public.public_bytes(*spki) != certificate.public_key().public_bytes(*spki):
        raise BadCertificateError("tls.key is not the key of tls.crt")


def list_names(certificate: x509.Certificate) -> list[str]:
    """Return the DNS names and IP addresses for which a certificate is valid."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    addresses = found.get_values_for_type(x509.IPAddress)
    return [*found.get_values_for_type(x509.DNSName), *map(str, addresses)]


def matches_host(certificate: x509.Certificate, host: str) -> bool:
    """Return whether a certificate is valid for a host name or an IP address. A star matches one label."""
    try:
        host = str(ipaddress.ip_address(host))
    except ValueError:
        host = host.lower()
    _, _, domain = host.partition(".")
    return bool({host, f"*.{domain}"} & {name.lower() for name in list_names(certificate)})


def is_signed(chain: list[x509.Certificate], authorities: list[x509.Certificate]) -> bool:
    """Return whether one of the authorities signed the first certificate of a chain, or one above it in the chain."""
    current = chain[0]
    for _ in range(LONGEST_CHAIN):
        if any(current == authority or is_issued_by(current, authority) for authority in authorities):
            return True
        above = next((issuer for issuer in chain if issuer != current and is_issued_by(current, issuer)), None)
        if above is None:
            return False
        current = above
    return False


def is_issued_by(certificate: x509.Certificate, by: x509.Certificate) -> bool:
    """Return whether a certificate was signed with the key of an issuer's certificate."""
    try:
        certificate.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def check_certificate(
    secret: str, data: Mapping[str, bytes], hosts: list[str], now: float, fix: str
) -> Iterator[Verdict]:
    """Check that a certificate is readable, belongs to its key, and is valid now and for these hosts."""
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
        yield fail(f"Secret {secret}: the certificate is not valid before {begins:%Y-%m-%d %H:%M} UTC", fix)
    elif (ends - today).days < WARN_DAYS:
        yield warn(f"Secret {secret}: the certificate expires on {ends:%Y-%m-%d}, in {(ends - today).days} days", fix)
    for host in hosts:
        if not matches_host(certificate, host):
            names = ", ".join(list_names(certificate)) or "no name"
            yield fail(f"Secret {secret}: found a certificate for {names}, wanted {host}", fix)
