"""Checks of a site's certificates, and the creation of the certificates of relay and filebeat."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(days=730)
# New certificates are valid from an hour ago, because the clock of a node may be behind.
CLOCK_SKEW = timedelta(hours=1)


class CertificateError(Exception):
    """A certificate or a key cannot be used. The message has the reason and the accepted value."""


class KeyFileError(CertificateError):
    """The file with the key cannot be used."""


@dataclass(frozen=True)
class Pair:
    """A certificate with its chain, and the key of the certificate. Both are PEM texts."""

    certificate: str
    key: str

    @property
    def first(self) -> x509.Certificate:
        """The first certificate of the PEM text, without the chain."""
        return read_certificates(self.certificate)[0]


def read_certificates(text: str) -> list[x509.Certificate]:
    """Return all certificates of a PEM text.

    Raises
    ------
    CertificateError
        Raised if the text has no certificate, or a damaged one.
    """
    try:
        return x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise CertificateError("found no readable certificate, wanted PEM") from None


def check_pair(pair: Pair, now: datetime) -> None:
    """Check that a certificate and a key belong together, and that the certificate is valid.

    Raises
    ------
    CertificateError
        Raised if the key does not belong to the certificate, or the certificate is not valid now.
    """
    chain = read_certificates(pair.certificate)
    try:
        key = load_pem_private_key(pair.key.encode(), None)
    except TypeError:
        raise KeyFileError("found a key with a password, wanted a key without one") from None
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileError("found no readable key, wanted PEM") from None
    public = [_public(certificate.public_key()) for certificate in chain]
    if _public(key.public_key()) in public[1:]:
        raise CertificateError("found the certificate of the key after others, wanted it first, then its chain")
    if _public(key.public_key()) != public[0]:
        raise KeyFileError("found the key of another certificate, wanted the key of this certificate")
    check_dates(chain[0], now)


def _public(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def check_dates(certificate: x509.Certificate, now: datetime) -> None:
    """Check that a certificate is valid now.

    Raises
    ------
    CertificateError
        Raised if the certificate has expired, or is not valid yet.
    """
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now > end:
        raise CertificateError(f"found a certificate that expired on {end:%Y-%m-%d}, wanted a valid one")
    if now < start:
        raise CertificateError(f"found a certificate that is valid from {start:%Y-%m-%d %H:%M} UTC, wanted a valid one")


def check_hostname(certificate: x509.Certificate, hostname: str) -> None:
    """Check that browsers accept a certificate for a host name.

    Raises
    ------
    CertificateError
        Raised if the certificate is for other names.
    """
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found = names.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        found = []
    parent = hostname.partition(".")[2]
    if hostname not in map(str.lower, found) and f"*.{parent}" not in map(str.lower, found):
        raise CertificateError(f"found a certificate for {', '.join(found) or 'no name'}, wanted one for {hostname}")


def needs_renewal(certificate: x509.Certificate, now: datetime) -> bool:
    """Return whether less than a third of a certificate's validity period is left."""
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return (end - now) * 3 < end - start


def is_signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Return whether the authority signed the certificate."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def create_authority(now: datetime) -> Pair:
    """Create an authority that signs the certificates of the logs only."""
    key = ec.generate_private_key(ec.SECP256R1())
    # The name must be unique, because two authorities are trusted during a rotation. So it contains the day and a
    # random number.
    name = _name(f"jupyterlabdemo logs {now:%Y-%m-%d} {x509.random_serial_number() % 0x10000:04x}")
    builder = _builder(name, name, key.public_key(), now, now + AUTHORITY_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs=True), critical=True)
    return _pair(builder.sign(key, hashes.SHA256()), key)


def create_leaf(authority: Pair, name: str, now: datetime, *, server: bool) -> Pair:
    """Create a certificate with a DNS name for a server (`server` is True) or for a client."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer, signer = authority.first, load_pem_private_key(authority.key.encode(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)  # noqa: S101  (create_authority created it)
    end = min(now + LEAF_LIFE, issuer.not_valid_after_utc)
    builder = _builder(issuer.subject, _name(name), key.public_key(), now, end)
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
    for extension, critical in (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(signs=False), True),
        (x509.ExtendedKeyUsage([purpose]), False),
        (x509.SubjectAlternativeName([x509.DNSName(name)]), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False),
    ):
        builder = builder.add_extension(extension, critical)
    return _pair(builder.sign(signer, hashes.SHA256()), key)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(issuer, subject, key).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before((now - CLOCK_SKEW).astimezone(UTC)).not_valid_after(end)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Pair(certificate.public_bytes(Encoding.PEM).decode(), private.decode())


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
