"""What is random is made anew when somebody asks for it; the logs' certificates also when they near their end."""

from __future__ import annotations

import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from tests.configure import components
from tests.configure.sample import LOGS, SMALL, SampleSite
from tools.components import ROOT
from tools.configure.certificates import read_certificates
from tools.configure.effects import READERS, commands
from tools.configure.keys import ROTATABLE

NOW = datetime.now(UTC)
LEAF, AUTHORITY = timedelta(days=730), timedelta(days=3650)
RESTART = "kubectl -n jupyterlabdemo rollout restart"


def told(site: SampleSite, rotate: str | None = None, now: datetime = NOW) -> list[str]:
    """Run it; give the commands that it asks for."""
    outcome = site.configure(rotate, now)
    return commands(outcome.before, outcome.after)


@pytest.mark.parametrize(
    ("name", "changes", "restarts"),
    [
        ("crypt-key", ["hub-secret.yaml"], "deployment/hub"),
        ("proxy-token", ["hub-secret.yaml"], "deployment/hub deployment/proxy"),
        ("fileserver-token", ["fileserver-secret.yaml", "hub-secret.yaml"], "deployment/hub"),
        ("log-certificates", ["filebeat-tls-secret.yaml", "logstashrmq-tls-secret.yaml"], "daemonset/filebeat"),
        (
            "log-authority",
            ["filebeat-tls-secret.yaml", "log-authority.pem", "logstashrmq-tls-secret.yaml"],
            "daemonset/filebeat",
        ),
    ],
)
def test_one_thing_is_rotated_and_nothing_else(name: str, changes: list[str], restarts: str, site: SampleSite) -> None:
    site.configure()
    outcome = site.configure(name)
    assert outcome.changed == changes
    assert commands(outcome.before, outcome.after) == [f"{RESTART} {restarts}"]
    assert site.configure().changed == []
    components.load_all(site)


def test_all_that_can_be_rotated_is_tried() -> None:
    tried = [mark.args[1] for mark in test_one_thing_is_rotated_and_nothing_else.pytestmark]  # type: ignore[attr-defined]
    assert {row[0] for rows in tried for row in rows} == set(ROTATABLE)


def test_a_new_crypt_key_stands_before_the_old(site: SampleSite) -> None:
    def key() -> str:
        return site.data("hub-secret.yaml")["JUPYTERHUB_CRYPT_KEY"]

    site.configure()
    first = key()
    site.configure("crypt-key")
    second, _, rest = key().partition(";")
    assert (len(second), rest) == (64, first)
    site.configure("crypt-key")
    assert key().split(";")[1:] == [second]
    keys = components.load_hub(site)["hub"]["crypt_keys"]
    assert len(keys) == 2


def test_hub_and_fileserver_share_the_new_token(site: SampleSite) -> None:
    site.configure()
    old = site.data("hub-secret.yaml")["FILESERVER_TOKEN"]
    site.configure("fileserver-token")
    new = site.data("hub-secret.yaml")["FILESERVER_TOKEN"]
    assert site.data("fileserver-secret.yaml") == {"FILESERVER_TOKEN": new}
    assert new != old


def test_nothing_is_rotated_before_it_was_made(site: SampleSite) -> None:
    assert "found nothing that was written before" in site.run("--rotate", "crypt-key", code=1)


def test_a_changed_setting_restarts_who_reads_it(site: SampleSite) -> None:
    site.configure()
    text = (site.folder / "site.toml").read_text()
    site.say(text.replace("[nginx]", "[storage]\nusage_rate = 5\n[nginx]\nhttp3 = true"))
    assert told(site) == [f"{RESTART} deployment/fileserver deployment/nginx"]
    assert site.data("nginx-configmap.yaml")["NGINX_HTTP3"] == "on"
    # What is left out again has to go from the cluster, too: the ConfigMap stays, and is empty.
    site.say(text)
    assert told(site) == [f"{RESTART} deployment/fileserver deployment/nginx"]
    assert site.data("fileserver-configmap.yaml") == {}


def test_a_new_certificate_of_the_sites_restarts_nobody(site: SampleSite, tmp_path: Path) -> None:
    site.configure()
    other = SampleSite.make(tmp_path / "other")
    for name in ("fullchain.pem", "privkey.pem"):
        (site.folder / "secrets" / name).write_text((other.folder / "secrets" / name).read_text())
    outcome = site.configure()
    assert outcome.changed == ["nginx-tls-secret.yaml"]
    assert commands(outcome.before, outcome.after) == []


def test_every_reader_of_what_is_written_restarts_or_reads_it_again_by_itself() -> None:
    again = {("nginx-tls-secret.yaml", "deployment/nginx"), ("logstashrmq-tls-secret.yaml", "deployment/logstashrmq")}
    again |= {("fileserver-secret.yaml", "deployment/fileserver")}
    # Of this Secret the proxy reads one key: `commands` looks at that.
    again |= {("hub-secret.yaml", "deployment/proxy")}
    # Ours, the same everywhere, and none of ours to write.
    named = {pair for file in ROOT.glob("*/kubernetes/*.yaml") for pair in readers(file)}
    assert {pair for pair in named if "-config-" not in pair[0]} == again | {
        (file, workload) for file, workloads in READERS.items() for workload in workloads
    }


def readers(file: Path) -> list[tuple[str, str]]:
    """Give the ConfigMaps and Secrets that a workload names, each with the workload."""
    body = yaml.safe_load(file.read_text())
    if body["kind"] not in {"Deployment", "DaemonSet"}:
        return []
    spec = body["spec"]["template"]["spec"]
    names = [
        f"{volume['configMap']['name']}-configmap.yaml" for volume in spec.get("volumes", []) if "configMap" in volume
    ]
    names += [
        f"{volume['secret']['secretName']}-secret.yaml" for volume in spec.get("volumes", []) if "secret" in volume
    ]
    for container in spec["containers"]:
        names += [f"{one['configMapRef']['name']}-configmap.yaml" for one in container.get("envFrom", [])]
        for one in container.get("env", []):
            if "secretKeyRef" in one.get("valueFrom", {}):
                names.append(f"{one['valueFrom']['secretKeyRef']['name']}-secret.yaml")
    return [(name, f"{body['kind'].lower()}/{body['metadata']['name']}") for name in names]


def test_logs_that_are_turned_off_are_removed_and_their_authority_is_kept(site: SampleSite) -> None:
    site.configure()
    authority = site.files()["log-authority.pem"]
    site.say(SMALL)
    assert told(site) == [
        "kubectl -n jupyterlabdemo delete --ignore-not-found configmap/logstashrmq secret/logstashrmq "
        "secret/logstashrmq-tls configmap/filebeat secret/filebeat-tls"
    ]
    assert not [name for name in site.files() if name.startswith(("logstashrmq", "filebeat"))]
    site.say(SMALL + LOGS)
    site.configure()
    assert site.files()["log-authority.pem"] == authority
    assert shake(site, site) == "logstashrmq"


def test_a_site_without_logs_says_what_not_to_apply(site: SampleSite) -> None:
    site.say(SMALL + "[logs]\nenabled = false\n")
    assert "leave out filebeat/kubernetes and logstashrmq/kubernetes" in site.run()
    assert "log-authority.pem" not in site.files()
    assert "found logs that are off" in site.run("--rotate", "log-authority", code=1)


def test_where_cert_manager_writes_the_certificate_nothing_else_does(site: SampleSite) -> None:
    site.configure()
    lines = (site.folder / "site.toml").read_text().splitlines()
    kept = [line for line in lines if not line.startswith(("certificate", "key"))]
    site.say("\n".join(kept).replace("[nginx]", "[nginx]\ncert_manager = true"))
    assert "nginx-tls-secret.yaml" in site.configure().changed
    assert "nginx-tls-secret.yaml" not in site.files()


def side(site: SampleSite, name: str) -> Path:
    """Give a folder with the files of one side of the logs, as kubelet mounts them."""
    return Path(components.mounted(site, f"/run/secrets/{name}-tls", f"{name}-tls-secret.yaml"))


def shake(relay: SampleSite, filebeat: SampleSite, hostname: str = "logstashrmq") -> str:
    """Have both sides shake hands as they do, in memory; give the name on the relay's certificate.

    Raises
    ------
    ssl.SSLError
        One of them does not trust the other.
    """
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.verify_mode = ssl.CERT_REQUIRED
    server.minimum_version = client.minimum_version = ssl.TLSVersion.TLSv1_3
    for context, folder in ((server, side(relay, "logstashrmq")), (client, side(filebeat, "filebeat"))):
        context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
        context.load_verify_locations(folder / "ca.crt")
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(down, up, server_hostname=hostname)
    other = server.wrap_bio(up, down, server_side=True)
    waiting = [one, other]
    for _ in range(10):
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                pass
    assert not waiting
    certificate = one.getpeercert()
    assert certificate
    assert other.getpeercert()
    return str(certificate["subjectAltName"][0][1])


def copy(site: SampleSite, folder: Path) -> SampleSite:
    """Keep what is written now: the side that has not started anew."""
    (folder / "out").mkdir(parents=True)
    for name, text in site.files().items():
        (folder / "out" / name).write_text(text)
    return SampleSite(folder)


def test_relay_and_filebeat_trust_each_other_and_nobody_else(site: SampleSite, tmp_path: Path) -> None:
    site.configure()
    assert shake(site, site) == "logstashrmq"
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake(site, site, "rabbit")
    other = SampleSite.make(tmp_path / "other", SMALL + LOGS)
    other.configure()
    for one, two in ((site, other), (other, site)):
        with pytest.raises(ssl.SSLError):
            shake(one, two)


@pytest.mark.parametrize(
    ("name", "purpose", "good"),
    [
        ("logstashrmq", "sslserver", True),
        ("logstashrmq", "sslclient", False),
        ("filebeat", "sslclient", True),
        ("filebeat", "sslserver", False),
    ],
)
def test_a_certificate_is_for_its_own_side_only(name: str, purpose: str, good: bool, site: SampleSite) -> None:
    site.configure()
    command = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", "ca.crt", "tls.crt"]
    done = subprocess.run(command, cwd=side(site, name), capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == good, done.stderr


def test_an_authority_is_rotated_without_a_connection_that_fails(site: SampleSite, tmp_path: Path) -> None:
    site.configure()
    steps = [copy(site, tmp_path / "0")]
    for number, name in enumerate(("log-authority", "log-certificates", "log-certificates"), 1):
        site.configure(name)
        steps.append(copy(site, tmp_path / str(number)))
    # Whichever side has the newer ones already.
    for old, new in pairwise(steps):
        assert shake(old, new) == shake(new, old) == shake(new, new) == "logstashrmq"
    trusted = [len(read_certificates(step.data("filebeat-tls-secret.yaml")["ca.crt"])) for step in steps]
    assert trusted == [1, 2, 2, 1]
    # At the end the old one is good for nothing.
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


def test_over_many_years_both_sides_always_trust_each_other(site: SampleSite, tmp_path: Path) -> None:
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
        assert all(any(one.subject == leaf.first.issuer for one in trusted) for leaf in (logs.relay, logs.filebeat))
        # filebeat has the old ones until it starts anew.
        assert {one.subject for one in trusted} & {
            one.subject for one in read_certificates(before.data("filebeat-tls-secret.yaml")["ca.crt"])
        }
        assert len(trusted) <= 2
    assert len(authorities) == 3


def test_an_authority_that_has_expired_is_followed_at_once(site: SampleSite) -> None:
    site.configure(now=NOW - AUTHORITY - timedelta(days=30))
    outcome = site.configure()
    assert outcome.renewed
    assert shake(site, site) == "logstashrmq"
