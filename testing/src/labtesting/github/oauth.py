"""The OAuth web flow: the login page, and the exchange of a code for a token."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import urlencode

from labtesting.github.messages import Request, Response, redirect
from labtesting.github.page import authorize_page, error_page
from labtesting.github.world import Code, World

WRONG_CALLBACK = "The redirect_uri MUST match the registered callback URL for this application."


def authorize(world: World, request: Request) -> Response:
    """Return the login page (GET), or redirect the browser to the callback URL with a code (POST)."""
    query = request.query
    if query.get("client_id") != world.app.client_id:
        return Response(404, error_page(f"No OAuth app has the client id {query.get('client_id')!r}."))
    callback = query.get("redirect_uri", world.app.callback)
    state = {"state": query["state"]} if "state" in query else {}
    if not is_registered(world, callback):
        answer = {"error": "redirect_uri_mismatch", "error_description": WRONG_CALLBACK}
        return redirect(f"{world.app.callback}?{urlencode(answer | state)}")
    if "code_challenge" in query and query.get("code_challenge_method") != "S256":
        method = query.get("code_challenge_method")
        return Response(400, error_page(f"The code challenge method is {method!r}. Only S256 is supported."))
    if request.method == "GET":
        return Response(200, authorize_page(world, request.target, query.get("scope", "").split()))
    account = world.find_account(request.form.get("login", ""))
    if account is None:
        answer = {"error": "access_denied", "error_description": "The user has denied your application access."}
    else:
        scopes = frozenset(query.get("scope", "").split()) if world.granted is None else world.granted
        answer = {"code": world.issue_code(Code(account.id, scopes, callback, query.get("code_challenge", "")))}
    return redirect(f"{callback}?{urlencode(answer | state)}")


def is_registered(world: World, url: str) -> bool:
    """Check whether a URL is the callback URL of the OAuth app, or a path below the callback URL."""
    return url == world.app.callback or url.startswith(world.app.callback.rstrip("/") + "/")


def exchange(world: World, request: Request) -> Response:
    """Return a response with a token for a valid code. Responses with an error have status 200, as on GitHub."""
    form = request.form
    if (form.get("client_id"), form.get("client_secret")) != (world.app.client_id, world.app.client_secret):
        return failure("incorrect_client_credentials", "The client_id and/or client_secret passed are incorrect.")
    if not is_registered(world, form.get("redirect_uri", world.app.callback)):
        return failure("redirect_uri_mismatch", WRONG_CALLBACK)
    code = world.codes.pop(form.get("code", ""), None)
    if code is None or not matches_challenge(code.challenge, form.get("code_verifier", "")):
        return failure("bad_verification_code", "The code passed is incorrect or expired.")
    if form.get("redirect_uri", code.redirect_uri) != code.redirect_uri:
        return failure("redirect_uri_mismatch", "The redirect_uri differs from that of the code.")
    token = world.issue_token(world.accounts[code.account_id], *code.scopes)
    return Response(200, {"access_token": token, "scope": ",".join(sorted(code.scopes)), "token_type": "bearer"})


def failure(error: str, description: str) -> Response:
    """Return a response with an OAuth error. The status is 200, as on GitHub."""
    return Response(200, {"error": error, "error_description": description})


def matches_challenge(challenge: str, verifier: str) -> bool:
    """Check whether a verifier matches the challenge of the login (PKCE, S256).

    An empty challenge matches any verifier.
    """
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    return not challenge or digest == challenge
