"""The certificates of nginx, of the relay and of filebeat."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from labadmin.doctor.certificates import BadCertificateError, examine, is_signed, read_chain
from labadmin.doctor.checks.deployment import is_deployed
from labadmin.doctor.cluster_state import Facts
from labadmin.doctor.findings import Verdict, skipped, well, wrong

NGINX = "nginx-tls"
RELAY, SHIPPER = "logstashrmq-tls", "filebeat-tls"
RELAY_NAME = "logstashrmq"
NGINX_FIX = (
    "kubectl -n jupyterlabdemo create secret tls nginx-tls --cert=fullchain.pem --key=privkey.pem --dry-run=client"
    " -o yaml | kubectl apply -f -  (nginx takes it over by itself; docs/admin/tls.md has cert-manager)"
)
LOGS_FIX = (
    "renew it in the Secret, which is taken over within a minute or two: docs/admin/forwarder.md, docs/admin/logs.md"
)


def front(facts: Facts) -> Iterator[Verdict]:
    """Judge the certificate that people's browsers see."""
    data = facts.objects.secret(NGINX)
    if not data:
        why = "(settings)" if is_deployed("nginx", facts.objects) else "and no nginx"
        yield skipped(f"found no Secret {NGINX} {why}")
        return
    told = facts.objects.settings("nginx")
    others = [hub.partition("=")[0] for hub in told.get("NGINX_OTHER_HUBS", "").split()]
    names = [urlsplit(facts.callback).hostname, told.get("NGINX_SERVER_NAME"), *others]
    hosts = list(dict.fromkeys(name for name in names if name))
    found = list(examine(NGINX, data, hosts, facts.now, NGINX_FIX))
    yield from found
    if not found:
        ends = read_chain(data["tls.crt"], "tls.crt")[0].not_valid_after_utc
        yield well(f"{NGINX} is for {', '.join(hosts) or 'nobody in particular'}, until {ends:%Y-%m-%d}")


def logs(facts: Facts) -> Iterator[Verdict]:
    """Judge those of the relay and of filebeat, and whether each is signed by whom the other trusts."""
    found = {name: facts.objects.secret(name) for name in (RELAY, SHIPPER)}
    if not any(found.values()):
        yield skipped("found neither Secret: no logs are shipped")
        return
    verdicts = []
    for name, hosts in ((RELAY, [RELAY_NAME]), (SHIPPER, [])):
        if found[name]:
            verdicts += list(examine(name, found[name], hosts, facts.now, LOGS_FIX))
    for name, other in ((RELAY, SHIPPER), (SHIPPER, RELAY)):
        if found[name] and found[other]:
            verdicts += list(trusted(name, found[name].get("tls.crt", b""), other, found[other].get("ca.crt", b"")))
    yield from verdicts
    if not verdicts:
        yield well(
            f"{' and '.join(name for name in found if found[name])} hold"
            + (", and trust each other" if all(found.values()) else "")
        )


def trusted(name: str, certificate: bytes, other: str, authority: bytes) -> Iterator[Verdict]:
    """Judge whether one side's certificate is signed by whom the other side trusts."""
    try:
        authorities = read_chain(authority, f"ca.crt of {other}")
        chain = read_chain(certificate, "tls.crt")
    except BadCertificateError as error:
        # What is wrong with tls.crt was said of it already.
        if "ca.crt" in str(error):
            yield wrong(f"Secret {other}: {error}", LOGS_FIX)
        return
    if not is_signed(chain, authorities):
        yield wrong(f"the certificate in {name} is not signed by ca.crt of {other}: the two do not talk", LOGS_FIX)
