"""The OAuth web flow: the page where one agrees, and the exchange of a code for a token."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import urlencode

from labtesting.github.messages import Request, Response, redirect
from labtesting.github.page import authorize_page, error_page
from labtesting.github.world import Code, World


def authorize(world: World, request: Request) -> Response:
    """Show who can agree (GET), or send the browser back with a code (POST)."""
    asked = request.query
    if asked.get("client_id") != world.app.client_id:
        return Response(404, error_page("There is no app with this client id."))
    back = asked.get("redirect_uri", world.app.callback)
    state = {"state": asked["state"]} if "state" in asked else {}
    if not is_registered(world, back):
        answer = {"error": "redirect_uri_mismatch", "error_description": "The redirect_uri is not the app's."}
        return redirect(f"{world.app.callback}?{urlencode(answer | state)}")
    if "code_challenge" in asked and asked.get("code_challenge_method") != "S256":
        return Response(400, error_page("Only the code challenge method S256 is known here."))
    if request.method == "GET":
        return Response(200, authorize_page(world, request.target, asked.get("scope", "").split()))
    account = world.find_account(request.form.get("login", ""))
    if account is None:
        answer = {"error": "access_denied", "error_description": "The user has denied your application access."}
    else:
        scopes = frozenset(asked.get("scope", "").split()) if world.granted is None else world.granted
        answer = {"code": world.issue_code(Code(account.id, scopes, back, asked.get("code_challenge", "")))}
    return redirect(f"{back}?{urlencode(answer | state)}")


def is_registered(world: World, back: str) -> bool:
    """Tell whether people may be sent there: to the app's callback URL, or below it."""
    return back == world.app.callback or back.startswith(world.app.callback.rstrip("/") + "/")


def exchange(world: World, request: Request) -> Response:
    """Give a token for a code; every error has status 200, as GitHub's."""
    form = request.form
    if (form.get("client_id"), form.get("client_secret")) != (world.app.client_id, world.app.client_secret):
        return failure("incorrect_client_credentials", "The client_id and/or client_secret passed are incorrect.")
    if not is_registered(world, form.get("redirect_uri", world.app.callback)):
        description = "The redirect_uri MUST match the registered callback URL for this application."
        return failure("redirect_uri_mismatch", description)
    code = world.codes.pop(form.get("code", ""), None)
    if code is None or not verify(code.challenge, form.get("code_verifier", "")):
        return failure("bad_verification_code", "The code passed is incorrect or expired.")
    if form.get("redirect_uri", code.redirect_uri) != code.redirect_uri:
        return failure("redirect_uri_mismatch", "The redirect_uri is not the one of the code.")
    token = world.issue_token(world.accounts[code.account_id], *code.scopes)
    return Response(200, {"access_token": token, "scope": ",".join(sorted(code.scopes)), "token_type": "bearer"})


def failure(error: str, description: str) -> Response:
    """Say what is wrong, with status 200."""
    return Response(200, {"error": error, "error_description": description})


def verify(challenge: str, verifier: str) -> bool:
    """Hold a verifier against the challenge of before (PKCE, S256)."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    return not challenge or digest == challenge
