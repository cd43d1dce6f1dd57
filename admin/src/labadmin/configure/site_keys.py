"""The random keys of a site. They are created once, read at each later run, and replaced only by `--rotate`.

The rotation of the authority that signs the certificates of the logs has two steps, so that no connection fails in
between. In the first step (`--rotate log-authority`), the relay and filebeat keep their certificates, and trust the new
authority in addition to the old one. In the second step (`--rotate log-certificates`), they get certificates of the new
authority. The old authority stays trusted until the next rotation or renewal of the certificates.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from labadmin.configure.certificates import (
    CertificateError,
    Pair,
    check_pair,
    create_authority,
    create_leaf,
    is_signed_by,
    needs_renewal,
    read_certificates,
)

RELAY, FILEBEAT = "logstashrmq", "filebeat"
KEY_NAMES = ("crypt-key", "proxy-token", "fileserver-token")
LOG_NAMES = ("log-certificates", "log-authority")
ROTATABLE = KEY_NAMES + LOG_NAMES
Stored = Mapping[str, Mapping[str, str]]


class DamageError(Exception):
    """A file of an earlier run cannot be used. The message names the file, the problem and the accepted content."""


@dataclass(frozen=True)
class Keys:
    """The random tokens and encryption keys of a site.

    Attributes
    ----------
    crypt_key
        The newest key, then the previous one, separated by a semicolon.
    """

    crypt_key: str
    proxy_token: str
    fileserver_token: str


@dataclass(frozen=True)
class LogKeys:
    """The authority (CA) of the logs, and the certificates that it signed.

    Attributes
    ----------
    older
        Certificates of earlier authorities that are still trusted, in PEM.
    """

    authority: Pair
    relay: Pair
    filebeat: Pair
    older: str = ""

    @property
    def trusted(self) -> str:
        """The certificates that the relay and filebeat trust: their ca.crt."""
        return self.authority.certificate + self.older


def create_token() -> str:
    """Return 32 random bytes as hexadecimal digits."""
    return secrets.token_hex(32)


def create_keys() -> Keys:
    """Create new random values for all tokens and keys."""
    return Keys(create_token(), create_token(), create_token())


def create_leaves(authority: Pair, now: datetime) -> tuple[Pair, Pair]:
    """Create the certificates of the relay and of filebeat."""
    return create_leaf(authority, RELAY, now, server=True), create_leaf(authority, FILEBEAT, now, server=False)


def create_log_keys(now: datetime, authority: Pair | None = None) -> LogKeys:
    """Create the certificates of the logs, signed by the given authority or a new one."""
    authority = authority or create_authority(now)
    return LogKeys(authority, *create_leaves(authority, now))


def rotate_key(keys: Keys, name: str) -> Keys:
    """Replace one of the tokens."""
    if name == "crypt-key":
        return replace(keys, crypt_key=f"{create_token()};{keys.crypt_key.split(';')[0]}")
    return replace(keys, **{name.replace("-", "_"): create_token()})


def renew(logs: LogKeys, now: datetime, rotate: str | None = None) -> LogKeys:
    """Replace the certificates named by `rotate`, and all certificates whose remaining validity is below a third."""
    leaves = (logs.relay.first, logs.filebeat.first)
    expired = logs.authority.first.not_valid_after_utc <= now
    if expired:
        logs = replace_authority(logs, now)
    if rotate == "log-certificates" or expired or any(needs_renewal(leaf, now) for leaf in leaves):
        logs = replace_leaves(logs, now)
    if rotate == "log-authority" or needs_renewal(logs.authority.first, now):
        logs = replace_authority(logs, now)
    return logs


def replace_authority(logs: LogKeys, now: datetime) -> LogKeys:
    """Add a new authority in front of the trusted ones. The relay and filebeat keep their certificates."""
    return replace(logs, authority=create_authority(now), older=drop_expired(logs.trusted, now))


def replace_leaves(logs: LogKeys, now: datetime) -> LogKeys:
    """Replace the certificates of the relay and of filebeat. The authorities that signed the old ones stay trusted."""
    replaced = (logs.relay.first, logs.filebeat.first)
    older = [
        authority
        for authority in split_pem(drop_expired(logs.older, now))
        if any(is_signed_by(leaf, read_certificates(authority)[0]) for leaf in replaced)
    ]
    relay, filebeat = create_leaves(logs.authority, now)
    return replace(logs, relay=relay, filebeat=filebeat, older="".join(older))


def split_pem(text: str) -> list[str]:
    """Return each certificate of a PEM text."""
    return re.findall(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n", text, re.DOTALL)


def drop_expired(text: str, now: datetime) -> str:
    """Return the certificates of a PEM text without the expired ones."""
    return "".join(pem for pem in split_pem(text) if read_certificates(pem)[0].not_valid_after_utc > now)


def read_keys(stored: Stored) -> Keys | None:
    """Return the tokens of an earlier run, or None if there was no earlier run.

    Parameters
    ----------
    stored
        The data of the written Secrets, by the name of the file.

    Raises
    ------
    DamageError
        Raised if a file is missing, damaged or was changed.
    """
    hub, fileserver = stored.get("hub-secret.yaml"), stored.get("fileserver-secret.yaml")
    if hub is None:
        if stored:
            found = sorted(stored)[0]
            raise DamageError(f"hub-secret.yaml: missing, but {found} exists: wanted both")
        return None
    keys = Keys(
        crypt_key=read_token(hub, "hub-secret.yaml", "JUPYTERHUB_CRYPT_KEY"),
        proxy_token=read_token(hub, "hub-secret.yaml", "CONFIGPROXY_AUTH_TOKEN"),
        fileserver_token=read_token(hub, "hub-secret.yaml", "FILESERVER_TOKEN"),
    )
    check_crypt_key(keys.crypt_key)
    if fileserver is not None:
        token = read_token(fileserver, "fileserver-secret.yaml", "FILESERVER_TOKEN")
        if token != keys.fileserver_token:
            raise DamageError("fileserver-secret.yaml: FILESERVER_TOKEN: found another token than in hub-secret.yaml")
    return keys


def check_crypt_key(text: str) -> None:
    """Check that the hub accepts the format of the keys."""
    for key in text.split(";"):
        if not re.fullmatch(r"[0-9a-fA-F]{64}|[A-Za-z0-9+/_-]{43}=", key.strip()):
            found = f"found a key of {len(key)} characters, wanted 64 hexadecimal digits"
            raise DamageError(f"hub-secret.yaml: JUPYTERHUB_CRYPT_KEY: {found}")


def read_token(secret: Mapping[str, str], file: str, name: str) -> str:
    """Return a token from the data of a Secret, after a check of its format."""
    text = secret.get(name, "").strip()
    if len(text) < 16 or not text.isascii() or len(text.split()) != 1:
        raise DamageError(f"{file}: {name}: found {len(text)} characters, wanted a random word of at least 16")
    return text


def read_log_keys(stored: Stored, authority: str | None) -> LogKeys | Pair | None:
    """Return the certificates of the logs.

    If the previous run wrote no certificates of the logs, return the authority only.

    Parameters
    ----------
    authority
        Content of log-authority.pem: the certificate and the key of the authority. None if the file is missing.

    Raises
    ------
    DamageError
        Raised if a file is missing, damaged or was changed.
    """
    sides = {name: stored.get(f"{name}-tls-secret.yaml") for name in (RELAY, FILEBEAT)}
    if authority is None:
        if found := [name for name, side in sides.items() if side is not None]:
            raise DamageError(f"log-authority.pem: missing, but {found[0]}-tls-secret.yaml exists: wanted both")
        return None
    pair = read_pair("log-authority.pem", *split_authority(authority))
    relay, filebeat = sides.values()
    if relay is None and filebeat is None:
        return pair
    if relay is None or filebeat is None:
        missing, other = (RELAY, FILEBEAT) if relay is None else (FILEBEAT, RELAY)
        raise DamageError(f"{missing}-tls-secret.yaml: missing, but {other}-tls-secret.yaml exists: wanted both")
    pairs = {
        name: read_pair(f"{name}-tls-secret.yaml", side.get("tls.crt", ""), side.get("tls.key", ""))
        for name, side in ((RELAY, relay), (FILEBEAT, filebeat))
    }
    logs = LogKeys(pair, pairs[RELAY], pairs[FILEBEAT], relay.get("ca.crt", ""))
    return check_trust(logs, filebeat.get("ca.crt", ""))


def split_authority(text: str) -> tuple[str, str]:
    """Return the certificate and the key in the file of the authority."""
    certificate, dashes, key = text.partition("-----BEGIN PRIVATE KEY-----")
    return certificate, dashes + key


def read_pair(file: str, certificate: str, key: str) -> Pair:
    """Check a certificate and a key of an earlier run, and return them as a pair."""
    pair = Pair(certificate, key)
    try:
        # The date is not checked here, because `renew` replaces an expired certificate.
        check_pair(pair, read_certificates(certificate)[0].not_valid_after_utc)
    except CertificateError as error:
        raise DamageError(f"{file}: {error}") from error
    return pair


def check_trust(logs: LogKeys, others: str) -> LogKeys:
    """Check that the relay and filebeat have the same ca.crt, and that its authority signed their certificates.

    Parameters
    ----------
    logs
        The certificates, with the whole ca.crt of the relay as `older`.
    others
        The ca.crt of filebeat.

    Returns
    -------
    LogKeys
        The certificates, with the earlier authorities only as `older`.
    """
    trusted = logs.older
    if trusted != others:
        raise DamageError("filebeat-tls-secret.yaml: ca.crt: found another one than in logstashrmq-tls-secret.yaml")
    if not trusted.startswith(logs.authority.certificate):
        raise DamageError("logstashrmq-tls-secret.yaml: ca.crt: found another authority than in log-authority.pem")
    logs = replace(logs, older=trusted.removeprefix(logs.authority.certificate))
    for name, leaf in ((RELAY, logs.relay), (FILEBEAT, logs.filebeat)):
        if not any(is_signed_by(leaf.first, authority) for authority in read_certificates(trusted)):
            raise DamageError(f"{name}-tls-secret.yaml: found a certificate that no authority in its ca.crt signed")
    return logs
