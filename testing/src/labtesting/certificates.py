"""A certificate authority for tests. It signs valid and invalid certificates."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

PEM = Encoding.PEM


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def new_key() -> ec.EllipticCurvePrivateKey:
    """Create a private key."""
    return ec.generate_private_key(ec.SECP256R1())


class Authority:
    """A certificate authority.

    Parameters
    ----------
    folder
        Folder for the authority's certificate, `ca.crt`.

    Attributes
    ----------
    certificate
        The authority's certificate.
    file
        Path of the certificate, for clients that must trust the authority.
    """

    def __init__(self, folder: Path) -> None:
        self._key = new_key()
        self._subject = _name("An authority for tests")
        now = datetime.now(UTC)
        self.certificate = (
            self._builder(self._subject, now - timedelta(days=900), now + timedelta(days=3650))
            .public_key(self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = folder / "ca.crt"
        self.file.write_bytes(self.certificate.public_bytes(PEM))

    def _builder(self, subject: x509.Name, start: datetime, end: datetime) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder(issuer_name=self._subject, subject_name=subject)
        return builder.serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(end)

    def write(
        self,
        folder: Path,
        *names: str,
        key: ec.EllipticCurvePrivateKey | None = None,
        start: timedelta = timedelta(days=-1),
        end: timedelta = timedelta(days=80),
        responder: str = "",
    ) -> x509.Certificate:
        """Write a certificate and its key to `tls.crt` and `tls.key`, the names of a Kubernetes TLS Secret.

        Parameters
        ----------
        names
            Host names or addresses for which the certificate is valid. Without names: `localhost`.
        key
            Private key. None creates a new one.
        start, end
            Start and end of the certificate's validity, relative to the current time.
        responder
            URL of the OCSP responder. If it is set, `tls.crt` also contains the authority's certificate.
        """
        key, now = key or new_key(), datetime.now(UTC)
        public, names = key.public_key(), names or ("localhost",)
        builder = (
            self._builder(_name(names[0]), now + start, now + end)
            .public_key(public)
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        )
        if responder:
            access = x509.AccessDescription(
                AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(responder)
            )
            builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        # Add the authority's certificate only for OCSP requests of nginx. Clients do not need it in the chain, because
        # they trust the authority.
        chain = certificate.public_bytes(PEM) + (self.certificate.public_bytes(PEM) if responder else b"")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tls.crt").write_bytes(chain)
        (folder / "tls.key").write_bytes(key.private_bytes(PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate

    def sign_ocsp_response(self, certificate: x509.Certificate) -> bytes:
        """Return a signed OCSP response, valid for a day. It confirms that this certificate is not revoked."""
        now = datetime.now(UTC)
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=certificate,
            issuer=self.certificate,
            algorithm=hashes.SHA1(),  # noqa: S303  (identifies the certificate, as in the requests of all clients)
            cert_status=ocsp.OCSPCertStatus.GOOD,
            this_update=now - timedelta(hours=1),
            next_update=now + timedelta(days=1),
            revocation_time=None,
            revocation_reason=None,
        )
        answer = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, self.certificate).sign(
            self._key, hashes.SHA256()
        )
        return answer.public_bytes(Encoding.DER)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the hash of a certificate's public key in base 64. Chromium's option for trusted keys has this format."""
    public = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(public).digest()).decode()
