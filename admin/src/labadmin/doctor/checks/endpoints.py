"""Checks of external connections: the front page, GitHub, the broker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from labadmin.doctor.cluster_state import DEFAULT_GITHUB, ClusterState
from labadmin.doctor.findings import Verdict, fail, ok, skip, warn
from labadmin.doctor.front_page import list_addresses
from labadmin.objects import NAMESPACE, look_up

PAGE = "/hub/oauth_callback"
RESTART = f"kubectl -n {NAMESPACE} rollout restart deployment/hub"
OK, NOT_FOUND, SERVER_ERROR = 200, 404, 500
CREDENTIALS = (
    "create a new client secret in the settings of the OAuth app, write it into the Secret hub (GITHUB_CLIENT_SECRET),"
    f" and compare GITHUB_CLIENT_ID in the ConfigMap hub; then {RESTART}"
)
# https://docs.github.com/apps/managing-oauth-apps/troubleshooting-oauth-app-access-token-request-errors/
BAD_CREDENTIALS, BAD_CODE, BAD_CALLBACK = (
    "incorrect_client_credentials",
    "bad_verification_code",
    "redirect_uri_mismatch",
)


def page(state: ClusterState) -> Iterator[Verdict]:
    """Check that the front page answers requests of this machine."""
    service = state.objects.find("Service", "nginx", NAMESPACE)
    answer = state.answers.get("front")
    if service is None or answer is None:
        yield skip("found no Service nginx, or no OAUTH_CALLBACK_URL (see objects, settings)")
        return
    tried: dict[str, dict[str, Any]] = answer.read()
    host, first = next(iter(tried.items()))
    answered = next((name for name, reply in tried.items() if reply["status"]), "")
    if answered:
        yield from judge_page(host, answered, tried[answered])
    elif look_up(service, "spec", "type") == "LoadBalancer" and not list_addresses(state.objects):
        fix = "install a load balancer for Services, or use an Ingress (docs/admin/tls.md)"
        yield fail(f"the Service nginx has no address yet, and {host} does not answer: {first['error']}", fix)
    else:
        yield warn(
            f"this machine cannot reach {', '.join(tried)}: {first['error']}",
            "try it from the network of the users",
        )


def judge_page(host: str, answered: str, reply: dict[str, Any]) -> Iterator[Verdict]:
    """Check the answer of the front page."""
    if reply["status"] >= SERVER_ERROR:
        fix = f"kubectl -n {NAMESPACE} get pods; kubectl -n {NAMESPACE} logs deployment/nginx"
        yield fail(f"{answered} answers {reply['status']} to {host}/hub/health, wanted {OK}", fix)
    elif answered != host:
        yield warn(
            f"{host} does not answer this machine, but {answered}, the address of the Service nginx, does",
            f"create a DNS record that leads {host} to {answered}",
        )
    elif "untrusted" in reply:
        yield warn(
            f"{host} answers with a certificate that this machine does not trust: {reply['untrusted']}",
            "check that tls.crt in the Secret nginx-tls has the whole chain; install a private CA in the browsers",
        )
    elif reply["status"] != OK:
        yield fail(
            f"{host} answers {reply['status']} to /hub/health, wanted {OK}",
            f"check that DNS leads {host} to this deployment",
        )
    else:
        yield ok(f"{host} answers over TLS")


def callback(state: ClusterState) -> Iterator[Verdict]:
    """Check the form of the URL to which GitHub redirects users."""
    if not state.callback:
        yield skip("the ConfigMap hub has no OAUTH_CALLBACK_URL (see settings)")
        return
    url, fix = urlsplit(state.callback), f"correct OAUTH_CALLBACK_URL in the ConfigMap hub, then {RESTART}"
    name = state.objects.settings("nginx").get("NGINX_SERVER_NAME")
    local = url.hostname in {"127.0.0.1", "localhost"}
    if not state.callback.rstrip("/").endswith(PAGE) or not (url.scheme == "https" or local) or not url.hostname:
        yield fail(f"found {state.callback}, wanted https://<your host>{PAGE}", fix)
    elif name and name != url.hostname:
        yield fail(
            f"found {url.hostname} in OAUTH_CALLBACK_URL and {name} in NGINX_SERVER_NAME, wanted the same host name",
            fix,
        )
    else:
        yield ok(state.callback)


def github(state: ClusterState) -> Iterator[Verdict]:
    """Check the answers of GitHub to requests of the hub's pod."""
    answer = state.answers.get("github")
    if answer is None:
        yield skip("the hub does not run (see workloads)")
        return
    report = answer.read()
    if answer.status or "token" not in report:
        yield fail(
            f"cannot run a program in the hub's pod: {answer.reason}", f"kubectl -n {NAMESPACE} logs deployment/hub"
        )
        return
    for reply in (report["token"], report["api"]):
        if not reply["status"] or reply["status"] >= SERVER_ERROR:
            fix = "check DNS, firewalls and proxies of the cluster, GITHUB_URL, SSL_CERT_FILE, and www.githubstatus.com"
            yield fail(f"the hub's pod gets no answer from {reply['url']}: {reply['error'] or reply['status']}", fix)
            return
    yield judge_app(report["token"], state)
    if report["unknown"]:
        # The check fails, because any GitHub user can register an organization with this free name, and add members to
        # it.
        fix = f"write the current names into GITHUB_ORGANIZATION_WHITELIST of the ConfigMap hub, then {RESTART}"
        yield fail(f"GitHub has no organization {', '.join(report['unknown'])}: its members cannot log in", fix)


def judge_app(reply: dict[str, Any], state: ClusterState) -> Verdict:
    """Return the verdict about GitHub's answer to a token request with an invalid code."""
    site = state.objects.settings("hub").get("GITHUB_URL") or DEFAULT_GITHUB
    if reply["error"] == BAD_CODE:
        return ok(f"{site} accepts the id and the secret of the app, and does not reject its callback URL")
    # GitHub answers 404 to an unknown client id.
    if reply["error"] == BAD_CREDENTIALS or reply["status"] == NOT_FOUND:
        return fail(f"{site} rejects GITHUB_CLIENT_ID with GITHUB_CLIENT_SECRET: no user can log in", CREDENTIALS)
    if reply["error"] == BAD_CALLBACK:
        fix = "correct the callback URL in the settings of the OAuth app (docs/admin/github-login.md)"
        return fail(f"{site} has another callback URL for the app than {state.callback}: no user can log in", fix)
    return warn(
        f"{site} answers {reply['status']} {reply['error']}, wanted {BAD_CODE}",
        "try again; check that GITHUB_URL is the URL of a GitHub",
    )


def broker(state: ClusterState) -> Iterator[Verdict]:
    """Check that the relay could publish a message, and that the broker confirmed it."""
    answer = state.answers.get("broker")
    if answer is None:
        deployed = state.objects.find("Deployment", "logstashrmq", NAMESPACE)
        yield skip("the relay does not run (see workloads)" if deployed else "logstashrmq is not deployed")
        return
    lines = answer.out.splitlines()
    failed = [line.removeprefix("FAILED").strip() for line in lines if line.startswith("FAILED")]
    for line in failed:
        yield fail(f"the relay cannot publish: {line}", "docs/admin/troubleshooting.md, Relay")
    if answer.status and not failed:
        yield fail(
            f"cannot run the check in the relay's pod: {answer.reason}",
            f"kubectl -n {NAMESPACE} logs deployment/logstashrmq",
        )
    elif not failed:
        confirmed = [line for line in lines if "a confirmed message" in line]
        last = (confirmed or lines or ["ok the relay reported nothing"])[-1]
        yield ok(last.removeprefix("ok").strip())
