"""Checks of the certificates of nginx, of the relay and of filebeat."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from labadmin.doctor.certificates import BadCertificateError, check_certificate, is_signed, read_chain
from labadmin.doctor.checks.deployment import is_deployed
from labadmin.doctor.cluster_state import ClusterState
from labadmin.doctor.findings import Verdict, fail, ok, skip

NGINX = "nginx-tls"
RELAY, SHIPPER = "logstashrmq-tls", "filebeat-tls"
RELAY_NAME = "logstashrmq"
NGINX_FIX = (
    "kubectl -n jupyterlabdemo create secret tls nginx-tls --cert=fullchain.pem --key=privkey.pem --dry-run=client"
    " -o yaml | kubectl apply -f -  (nginx loads it without a restart; with cert-manager see docs/admin/tls.md)"
)
LOGS_FIX = (
    "renew it in the Secret (docs/admin/relay.md, docs/admin/logs.md). The relay loads it within a minute or two; for"
    " filebeat: kubectl -n jupyterlabdemo rollout restart daemonset/filebeat"
)


def front(state: ClusterState) -> Iterator[Verdict]:
    """Check the certificate that nginx sends to browsers."""
    data = state.objects.secret(NGINX)
    if not data:
        deployed = is_deployed("nginx", state.objects)
        yield skip(f"found no Secret {NGINX} (see settings)" if deployed else f"found no nginx and no Secret {NGINX}")
        return
    settings = state.objects.settings("nginx")
    others = [hub.partition("=")[0] for hub in settings.get("NGINX_OTHER_HUBS", "").split()]
    names = [urlsplit(state.callback).hostname, settings.get("NGINX_SERVER_NAME"), *others]
    hosts = list(dict.fromkeys(name for name in names if name))
    found = list(check_certificate(NGINX, data, hosts, state.now, NGINX_FIX))
    yield from found
    if not found:
        ends = read_chain(data["tls.crt"], "tls.crt")[0].not_valid_after_utc
        yield ok(f"{NGINX} is valid for {', '.join(hosts) or 'no particular host'} until {ends:%Y-%m-%d}")


def logs(state: ClusterState) -> Iterator[Verdict]:
    """Check the certificates of the relay and of filebeat, and that each side trusts the other."""
    found = {name: state.objects.secret(name) for name in (RELAY, SHIPPER)}
    if not any(found.values()):
        yield skip(f"found neither {RELAY} nor {SHIPPER}: no logs are shipped")
        return
    verdicts = []
    for name, hosts in ((RELAY, [RELAY_NAME]), (SHIPPER, [])):
        if found[name]:
            verdicts += list(check_certificate(name, found[name], hosts, state.now, LOGS_FIX))
    for name, other in ((RELAY, SHIPPER), (SHIPPER, RELAY)):
        if found[name] and found[other]:
            verdicts += list(check_trust(name, found[name].get("tls.crt", b""), other, found[other].get("ca.crt", b"")))
    yield from verdicts
    if not verdicts:
        yield ok(
            f"valid: {' and '.join(name for name in found if found[name])}"
            + (", which trust each other" if all(found.values()) else "")
        )


def check_trust(name: str, certificate: bytes, other: str, authority: bytes) -> Iterator[Verdict]:
    """Check that the certificate of one side is signed by an authority that the other side trusts."""
    try:
        authorities = read_chain(authority, f"ca.crt of {other}")
        chain = read_chain(certificate, "tls.crt")
    except BadCertificateError as error:
        # Report only a problem of ca.crt here, because `check_certificate` reports a problem of tls.crt.
        if "ca.crt" in str(error):
            yield fail(f"Secret {other}: {error}", LOGS_FIX)
        return
    if not is_signed(chain, authorities):
        yield fail(f"the certificate in {name} is not signed by ca.crt of {other}: they cannot connect", LOGS_FIX)
