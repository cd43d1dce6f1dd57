"""Tests that the relay and filebeat trust only each other, before and after each renewal."""

from __future__ import annotations

import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from labadmin.configure.certificates import AUTHORITY_LIFE, read_certificates

from admin.tests.configure import components
from admin.tests.configure.sample import LOGS, SMALL, SampleSite

NOW = datetime.now(UTC)


def side(site: SampleSite, name: str) -> Path:
    """Return a folder with the TLS files of the relay or of filebeat, as kubelet mounts them."""
    return Path(components.mounted(site, f"/run/secrets/{name}-tls", f"{name}-tls-secret.yaml"))


def shake(relay: SampleSite, filebeat: SampleSite, hostname: str = "logstashrmq") -> str:
    """Return the name in the relay's certificate after a TLS handshake of the relay and filebeat in memory.

    Raises
    ------
    ssl.SSLError
        Raised if the relay or filebeat does not trust the other.
    """
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.verify_mode = ssl.CERT_REQUIRED
    server.minimum_version = client.minimum_version = ssl.TLSVersion.TLSv1_3
    for context, folder in ((server, side(relay, "logstashrmq")), (client, side(filebeat, "filebeat"))):
        context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
        context.load_verify_locations(folder / "ca.crt")
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    shipper = client.wrap_bio(down, up, server_hostname=hostname)
    receiver = server.wrap_bio(up, down, server_side=True)
    waiting = [shipper, receiver]
    for _ in range(10):
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                pass
    assert not waiting
    certificate = shipper.getpeercert()
    assert certificate
    assert receiver.getpeercert()
    return str(certificate["subjectAltName"][0][1])


def copy(site: SampleSite, folder: Path) -> SampleSite:
    """Copy the site's current files. A workload that has not restarted still uses them after the next run."""
    (folder / "out").mkdir(parents=True)
    for name, text in site.files().items():
        (folder / "out" / name).write_text(text)
    return SampleSite(folder)


def test_relay_and_filebeat_trust_only_each_other(site: SampleSite, tmp_path: Path) -> None:
    site.configure()
    assert shake(site, site) == "logstashrmq"
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake(site, site, "rabbit")
    other = SampleSite.make(tmp_path / "other", SMALL + LOGS)
    other.configure()
    for relay, filebeat in ((site, other), (other, site)):
        with pytest.raises(ssl.SSLError):
            shake(relay, filebeat)


@pytest.mark.parametrize(
    ("name", "purpose", "good"),
    [
        ("logstashrmq", "sslserver", True),
        ("logstashrmq", "sslclient", False),
        ("filebeat", "sslclient", True),
        ("filebeat", "sslserver", False),
    ],
)
def test_certificate_is_valid_only_for_its_own_side(name: str, purpose: str, good: bool, site: SampleSite) -> None:
    site.configure()
    command = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", "ca.crt", "tls.crt"]
    done = subprocess.run(command, cwd=side(site, name), capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == good, done.stderr


def test_rotating_the_authority_breaks_no_connection(site: SampleSite, tmp_path: Path) -> None:
    site.configure()
    steps = [copy(site, tmp_path / "0")]
    for number, name in enumerate(("log-authority", "log-certificates", "log-certificates"), 1):
        site.configure(name)
        steps.append(copy(site, tmp_path / str(number)))
    # Either the relay or filebeat may get the newer files first.
    for old, new in pairwise(steps):
        assert shake(old, new) == shake(new, old) == shake(new, new) == "logstashrmq"
    trusted = [len(read_certificates(step.data("filebeat-tls-secret.yaml")["ca.crt"])) for step in steps]
    assert trusted == [1, 2, 2, 1]
    # After the last step the old certificates are not trusted any more.
    with pytest.raises(ssl.SSLError):
        shake(steps[3], steps[0])


@pytest.mark.parametrize(
    ("days", "renewed"), [(0, False), (480, False), (490, True), (800, True)], ids=["0", "480", "490", "too late"]
)
def test_certificates_are_renewed_in_their_last_third(days: int, renewed: bool, site: SampleSite) -> None:
    site.configure(now=NOW)
    outcome = site.configure(now=NOW + timedelta(days=days))
    assert outcome.renewed == renewed
    assert bool(outcome.changed) == renewed
    assert outcome.logs
    assert outcome.logs.relay.first.not_valid_after_utc > NOW + timedelta(days=days + 200)
    assert site.configure(now=NOW + timedelta(days=days)).changed == []


def test_yearly_runs_keep_the_trust_of_both_sides(site: SampleSite, tmp_path: Path) -> None:
    now = NOW
    site.configure(now=now)
    authorities = {site.files()["log-authority.pem"]}
    for year in range(1, 15):
        before = copy(site, tmp_path / str(year))
        now += timedelta(days=365)
        site.configure(now=now)
        authorities.add(site.files()["log-authority.pem"])
        logs = site.configure(now=now).logs
        assert logs
        assert min(logs.relay.first.not_valid_after_utc, logs.filebeat.first.not_valid_after_utc) > now
        trusted = read_certificates(logs.trusted)
        assert all(any(ca.subject == leaf.first.issuer for ca in trusted) for leaf in (logs.relay, logs.filebeat))
        # Until filebeat restarts, it uses the old certificates.
        assert {ca.subject for ca in trusted} & {
            ca.subject for ca in read_certificates(before.data("filebeat-tls-secret.yaml")["ca.crt"])
        }
        assert len(trusted) <= 2
    assert len(authorities) == 3


def test_expired_authority_is_replaced_at_once(site: SampleSite) -> None:
    site.configure(now=NOW - AUTHORITY_LIFE - timedelta(days=30))
    outcome = site.configure()
    assert outcome.renewed
    assert shake(site, site) == "logstashrmq"
