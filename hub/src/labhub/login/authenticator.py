"""Login with GitHub, as an authenticator of JupyterHub."""

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

from labhub.telemetry import audit as audit
from labhub.infra import fair_scheduling as turns
from labhub.login.user_accounts import find_user, settle, user_info
from labhub.models.access_rules import Admission
from labhub.models.auth_state import AuthState
from labhub.login.access_evaluator import Examiner, Finding
from labhub.login.github import GitHub, GitHubError, SuspendedError, UnavailableError
from labhub.login.handlers import CallbackHandler, LogoutHandler
from labhub.login.membership_refresh import Recheck
from labhub.models.login_errors import Reason, RefusedError
from labhub.settings.login import Settings

SCOPES = ("read:org", "user:email")
# Logins that ask GitHub at the same time. The others wait here, where no time runs out: a hundred at once would time
# out in queues of ours, and be told that GitHub does not answer. GitHub itself wants 100 requests at once at most.
AT_ONCE = 32
# What contains it, so that GitHub answers with only the larger one
READ_ORG = {"read:org", "write:org", "admin:org"}
ADMISSION_REFUSED = {
    Admission.OUTSIDER: Reason.NOT_A_MEMBER,
    Admission.PENDING: Reason.PENDING,
    Admission.UNKNOWN: Reason.HIDDEN,
}


class LabAuthenticator(GitHubOAuthenticator):  # type: ignore[misc]  # untyped
    """JupyterHub's authenticator, as `labhub.configuration.configure_login` sets it up."""

    callback_handler = CallbackHandler
    logout_handler = LogoutHandler
    settings = Instance(Settings).tag(config=True)
    parent: JupyterHub

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.github = GitHub(self.github_api, self.settings.timeout_seconds)
        self.examiner = Examiner(self.github, self.settings)
        self.recheck = Recheck(self.parent, self.examiner)
        self._gate = asyncio.Semaphore(AT_ONCE)

    @default("http_client")
    def _make_http_client(self) -> AsyncHTTPClient:
        return AsyncHTTPClient(force_instance=True, max_clients=AT_ONCE)  # tornado's own has 10

    def get_handlers(self, app: JupyterHub) -> list[tuple[str, type[BaseHandler]]]:
        """Give the login's pages; JupyterHub asks once, when its loop runs, so the sweep starts here."""
        self.recheck.start()
        return list(super().get_handlers(app))

    async def authenticate(self, handler: BaseHandler, data: object = None, **_: object) -> dict[str, Any]:
        """Make a login of GitHub's answer.

        OAuthenticator's own has no place for ids of organizations, splits scopes at blanks although GitHub
        answers with commas, and tells an outage from an outsider in no way.

        Raises
        ------
        RefusedError
            With the reason.
        """
        if not isinstance(handler, CallbackHandler):
            raise web.HTTPError(405, "people log in at GitHub")  # JupyterHub's own form of names and passwords
        parameters = self.build_access_tokens_request_params(handler, data)
        async with self._gate:
            token, scopes = self._read_token(await self.get_token_info(handler, parameters))
            finding = await self._examine(token)
        await turns.take()
        login, github_id = finding.account.login.lower(), finding.account.id
        if finding.admission is not Admission.ADMITTED:
            raise RefusedError(ADMISSION_REFUSED[finding.admission], login, github_id)
        if finding.identity is None:
            raise RefusedError(Reason.NO_IDENTITY, login, github_id)
        email = await self.github.fetch_email(token) if "user:email" in scopes else None
        state = AuthState(finding.identity, token, scopes, time.time(), email)
        return state.to_auth_model(admin=finding.admin) | {"user_info": user_info(github_id)}

    async def get_token_info(self, handler: BaseHandler, params: dict[str, Any]) -> dict[str, Any]:
        """Exchange the code for a token; whatever goes wrong there is a refusal."""
        try:
            return dict(await super().get_token_info(handler, params))
        except HTTPClientError as error:
            raise RefusedError(Reason.RATE_LIMITED if error.code == 429 else Reason.GITHUB_DOWN) from error
        except web.HTTPError as error:
            # A 500 of OAuthenticator's quotes the whole answer, which may hold a token: it goes no further.
            if error.status_code != 403:
                raise RefusedError(Reason.GITHUB_DOWN) from None
            self.log.warning("GitHub: %s", error.log_message)  # its `error_description`: wrong secret, old code
            raise RefusedError(Reason.TOKEN_REFUSED) from None
        except (OSError, ValueError, TypeError) as error:
            raise RefusedError(Reason.GITHUB_DOWN) from error

    @staticmethod
    def _read_token(info: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
        scopes = tuple(sorted(str(info.get("scope") or "").replace(",", " ").split()))
        if READ_ORG.isdisjoint(scopes):
            raise RefusedError(Reason.SCOPE)
        return str(info["access_token"]), scopes

    async def _examine(self, token: str) -> Finding:
        try:
            return await self.examiner.examine(token)
        except SuspendedError as error:
            raise RefusedError(Reason.SUSPENDED) from error
        except UnavailableError as error:
            self.log.warning("GitHub: %s", error)
            raise RefusedError(error.reason) from error
        except GitHubError as error:
            raise RefusedError(Reason.TOKEN_REFUSED) from error

    def check_allowed(self, username: str, auth_model: dict[str, Any] | None) -> bool:
        """Agree: `authenticate` has decided. OAuthenticator's own lets administrators in first, by login."""
        return auth_model is not None

    async def run_post_auth_hook(self, handler: BaseHandler, auth_model: dict[str, Any]) -> dict[str, Any]:
        """Settle which user it is: the last step before JupyterHub writes anything.

        Raises
        ------
        RefusedError
            The login was another account's.
        """
        state = AuthState.from_dict(auth_model["auth_state"])
        assert state is not None  # noqa: S101  (it is what `authenticate` has just written)
        users, identity = self.parent.users, state.identity
        before = find_user(users, identity.github_id)
        old_name = before.name if before else None
        # JupyterHub has held its block list only against the name of today.
        if before and not self.check_blocked_users(old_name, auth_model):
            raise RefusedError(Reason.BLOCKED, identity.name, identity.github_id)
        name = await settle(users, identity)
        if before:
            await self.release_token(before)  # the one of the login before, which nobody would use again
        audit.login(
            name,
            identity.github_id,
            admin=auth_model["admin"],
            dropped=tuple(one.login for one in identity.dropped),
            renamed_from=old_name if old_name != name else None,
        )
        return auth_model | {"name": name}

    async def refresh_user(self, user: User, handler: BaseHandler | None = None, **_: object) -> dict[str, Any] | bool:
        """Look at somebody again who is in; see `Recheck.refresh`."""
        if handler is not None and not hasattr(handler, "_token_authenticated"):
            # JupyterHub 6.1.1 reads it when the answer is False, and sets it only for a request with a token:
            # a request with a cookie would end in an AttributeError.
            handler._token_authenticated = False
        return await self.recheck.refresh(user)

    async def release_token(self, user: User) -> bool:
        """Have GitHub make the stored token invalid, if the setting says so; tell whether it did.

        Who and what was known stays, so that a lab that goes on running has the last known answer. The token does
        not, even if GitHub cannot be told: it may have understood and only the answer be late, and somebody may have
        logged in again meanwhile.
        """
        state = AuthState.from_dict(await user.get_auth_state() or {})
        if not (self.settings.revoke_on_logout and state and state.access_token):
            return False
        # First forgotten, then revoked: nobody asks GitHub with it in between and takes the 401 for an end.
        await user.save_auth_state(replace(state, access_token=None).to_dict())
        try:
            await self.github.revoke(state.access_token, self.client_id, self.client_secret)
        except GitHubError:
            return False
        return True
