"""The authenticator, the class with which JupyterHub logs users in with their GitHub accounts."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

from jupyterhub.app import JupyterHub  # type: ignore[import-untyped]
from jupyterhub.handlers import BaseHandler  # type: ignore[import-untyped]
from jupyterhub.user import User  # type: ignore[import-untyped]
from oauthenticator.github import GitHubOAuthenticator  # type: ignore[import-untyped]
from tornado import web
from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from traitlets import Instance, default

from labhub.infra.fair_scheduling import yield_turn
from labhub.login.access_evaluator import AccessDecision, AccessEvaluator
from labhub.login.github import GitHub
from labhub.login.github_responses import GitHubError, SuspendedError, UnavailableError
from labhub.login.handlers import CallbackHandler, LogoutHandler
from labhub.login.membership_refresh import MembershipRefresher
from labhub.login.user_accounts import find_user, resolve_username, user_info
from labhub.models.access_rules import Admission
from labhub.models.auth_state import AuthState
from labhub.models.login_errors import LoginRefusal, LoginRefusedError
from labhub.settings.login import LoginSettings
from labhub.telemetry import audit

SCOPES = ("read:org", "user:email")
# Limit of concurrent logins, because GitHub allows 100 concurrent requests. Further logins wait for a semaphore, which
# has no timeout. Without the semaphore they would wait in the queue of the HTTP client. With a hundred logins, many
# would time out in this queue, and the error page would name GitHub as the cause.
LOGINS_MAX = 32
# Scopes that include `read:org`. If an app requests several of them, GitHub grants only the widest one.
READ_ORG = {"read:org", "write:org", "admin:org"}
REFUSALS = {
    Admission.OUTSIDER: LoginRefusal.NOT_A_MEMBER,
    Admission.PENDING: LoginRefusal.PENDING,
    Admission.UNKNOWN: LoginRefusal.HIDDEN,
}


class LabAuthenticator(GitHubOAuthenticator):  # type: ignore[misc]  # untyped
    """Authenticator that admits users by the access rules, and re-checks their membership while they are logged in."""

    callback_handler = CallbackHandler
    logout_handler = LogoutHandler
    settings = Instance(LoginSettings).tag(config=True)
    parent: JupyterHub

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.github = GitHub(self.github_api, self.settings.timeout_seconds)
        self.access_evaluator = AccessEvaluator(self.github, self.settings)
        self.membership_refresher = MembershipRefresher(self.parent, self.access_evaluator)
        self._login_slots = asyncio.Semaphore(LOGINS_MAX)

    @default("http_client")
    def _make_http_client(self) -> AsyncHTTPClient:
        return AsyncHTTPClient(force_instance=True, max_clients=LOGINS_MAX)  # tornado's default is 10

    def get_handlers(self, app: JupyterHub) -> list[tuple[str, type[BaseHandler]]]:
        """Return the handlers of logins and logouts.

        This method also starts the regular re-check of memberships, because JupyterHub calls it once, after the event
        loop has started.
        """
        self.membership_refresher.start()
        return list(super().get_handlers(app))

    async def authenticate(self, handler: BaseHandler, data: object = None, **_: object) -> dict[str, Any]:
        """Return the auth model of a user whom GitHub has redirected back to the hub.

        This method replaces the method of OAuthenticator for three reasons. OAuthenticator does not keep the ids of
        organizations. OAuthenticator splits scopes at spaces, but GitHub separates scopes with commas. OAuthenticator
        cannot distinguish an outage of GitHub from a refusal.

        Raises
        ------
        LoginRefusedError
            Raised with the reason if the user may not log in.
        """
        if not isinstance(handler, CallbackHandler):
            # The request comes from JupyterHub's own form for names and passwords.
            raise web.HTTPError(405, "Log in with GitHub. Passwords are not supported.")
        parameters = self.build_access_tokens_request_params(handler, data)
        async with self._login_slots:
            token, scopes = self._read_token(await self.get_token_info(handler, parameters))
            decision = await self._evaluate(token)
        await yield_turn()
        login, github_id = decision.account.login.lower(), decision.account.id
        if decision.admission is not Admission.ADMITTED:
            raise LoginRefusedError(REFUSALS[decision.admission], login, github_id)
        if decision.identity is None:
            raise LoginRefusedError(LoginRefusal.NO_IDENTITY, login, github_id)
        email = await self.github.fetch_email(token) if "user:email" in scopes else None
        state = AuthState(decision.identity, token, scopes, time.time(), email)
        return state.to_auth_model(admin=decision.admin) | {"user_info": user_info(github_id)}

    async def get_token_info(self, handler: BaseHandler, params: dict[str, Any]) -> dict[str, Any]:
        """Exchange the code of an OAuth login for GitHub's access token.

        Raises
        ------
        LoginRefusedError
            Raised if GitHub refuses the exchange or does not answer.
        """
        try:
            return dict(await super().get_token_info(handler, params))
        except HTTPClientError as error:
            raise LoginRefusedError(
                LoginRefusal.RATE_LIMITED if error.code == 429 else LoginRefusal.GITHUB_DOWN
            ) from error
        except web.HTTPError as error:
            # For an unexpected answer, OAuthenticator raises an error 500 that contains the complete answer, and so
            # maybe a token. `from None` keeps this text out of the log.
            if error.status_code != 403:
                raise LoginRefusedError(LoginRefusal.GITHUB_DOWN) from None
            self.log.warning("GitHub: %s", error.log_message)  # for example a wrong secret or an expired code
            raise LoginRefusedError(LoginRefusal.TOKEN_REFUSED) from None
        except (OSError, ValueError, TypeError) as error:
            raise LoginRefusedError(LoginRefusal.GITHUB_DOWN) from error

    @staticmethod
    def _read_token(info: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
        scopes = tuple(sorted(str(info.get("scope") or "").replace(",", " ").split()))
        if READ_ORG.isdisjoint(scopes):
            raise LoginRefusedError(LoginRefusal.SCOPE)
        return str(info["access_token"]), scopes

    async def _evaluate(self, token: str) -> AccessDecision:
        try:
            return await self.access_evaluator.evaluate(token)
        except SuspendedError as error:
            raise LoginRefusedError(LoginRefusal.SUSPENDED) from error
        except UnavailableError as error:
            self.log.warning("GitHub: %s", error)
            raise LoginRefusedError(error.reason) from error
        except GitHubError as error:
            raise LoginRefusedError(LoginRefusal.TOKEN_REFUSED) from error

    def check_allowed(self, username: str, auth_model: dict[str, Any] | None) -> bool:
        """Return True for each user with an auth model, because `authenticate` has already applied the access rules.

        OAuthenticator's own method would admit administrators by their GitHub login, which another account can take
        over.
        """
        return auth_model is not None

    async def run_post_auth_hook(self, handler: BaseHandler, auth_model: dict[str, Any]) -> dict[str, Any]:
        """Set the user name of a login. JupyterHub writes to its database directly after this hook.

        Raises
        ------
        LoginRefusedError
            Raised if the hub's user with this name belongs to another GitHub account. Also raised if the user is
            blocked under a former name.
        """
        state = AuthState.from_dict(auth_model["auth_state"])
        assert state is not None  # noqa: S101  (`authenticate` has just created it)
        users, identity = self.parent.users, state.identity
        user = find_user(users, identity.github_id)
        old_name = user.name if user else None
        # Check whether the old name is on the block list, because JupyterHub has checked only the new name.
        if user and not self.check_blocked_users(old_name, auth_model):
            raise LoginRefusedError(LoginRefusal.BLOCKED, identity.name, identity.github_id)
        name = await resolve_username(users, identity)
        if user:
            await self.release_token(user)  # the new login has its own token
        audit.log_login(
            name,
            identity.github_id,
            admin=auth_model["admin"],
            dropped=tuple(organization.login for organization in identity.dropped),
            renamed_from=old_name if old_name != name else None,
        )
        return auth_model | {"name": name}

    async def refresh_user(self, user: User, handler: BaseHandler | None = None, **_: object) -> dict[str, Any] | bool:
        """Re-check a user's membership. The result is that of `MembershipRefresher.refresh`."""
        if handler is not None and not hasattr(handler, "_token_authenticated"):
            # If this method returns False, JupyterHub 6.1.1 reads this attribute of the handler. JupyterHub sets the
            # attribute only for requests with a token, so a request with a cookie would fail with an AttributeError.
            handler._token_authenticated = False
        return await self.membership_refresher.refresh(user)

    async def release_token(self, user: User) -> bool:
        """Revoke the stored token of a user, if revocation is enabled. Return whether GitHub has confirmed this.

        The identity stays in the auth state, so that GitHub's last answer still counts for a running lab. The hub
        deletes its copy of the token even if GitHub does not answer, because GitHub may have revoked the token.
        """
        state = AuthState.from_dict(await user.get_auth_state() or {})
        if not (self.settings.revoke_on_logout and state and state.access_token):
            return False
        # Delete the stored token before GitHub revokes it. Otherwise a re-check at this moment would get status 401 for
        # the token, and end the user's access.
        await user.save_auth_state(replace(state, access_token=None).to_dict())
        try:
            await self.github.revoke(state.access_token, self.client_id, self.client_secret)
        except GitHubError:
            return False
        return True
