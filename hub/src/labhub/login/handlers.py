"""Handlers of the OAuth callback, to which GitHub redirects a user who logs in, and of the logout."""

from __future__ import annotations

from typing import Protocol

from jupyterhub.user import User  # type: ignore[import-untyped]
from oauthenticator.oauth2 import OAuthCallbackHandler, OAuthLogoutHandler  # type: ignore[import-untyped]
from tornado import web

from labhub.login.user_accounts import get_github_id
from labhub.models.login_errors import LoginRefusal, LoginRefusedError
from labhub.settings.login import LoginSettings
from labhub.telemetry import audit

RETRY_AFTER_SECONDS = "60"
TEMPORARY = {LoginRefusal.GITHUB_DOWN, LoginRefusal.RATE_LIMITED}


class Authenticator(Protocol):
    """The part of `LabAuthenticator` that the handlers use."""

    settings: LoginSettings

    async def release_token(self, user: User) -> bool:
        """Revoke the stored GitHub token of a user, and return whether GitHub has confirmed this."""
        ...


class CallbackHandler(OAuthCallbackHandler):  # type: ignore[misc]  # untyped
    """Handler of the OAuth callback, to which GitHub redirects the browser of a user who logs in."""

    authenticator: Authenticator

    async def get(self) -> None:
        """Log the user in, or show a page with the reason of the refusal."""
        try:
            await super().get()
        except LoginRefusedError as refusal:
            await self._show_refusal(refusal)
        except web.HTTPError as error:
            await self._show_refusal(LoginRefusedError(self._find_reason(error)))

    def _find_reason(self, error: web.HTTPError) -> LoginRefusal:
        if self.get_argument("error", "") == "access_denied":
            return LoginRefusal.CANCELLED
        # JupyterHub raises an error with status 403 only for a user on its block list. The hub's own refusals are
        # `LoginRefusedError`.
        return LoginRefusal.BLOCKED if error.status_code == 403 else LoginRefusal.BAD_REQUEST

    async def _show_refusal(self, refusal: LoginRefusedError) -> None:
        audit.log_refusal(refusal.user, refusal.github_id, refusal.reason.code)
        settings = self.authenticator.settings
        self.set_status(refusal.reason.status)
        if refusal.reason in TEMPORARY:
            self.set_header("Retry-After", RETRY_AFTER_SECONDS)
        page = await self.render_template(
            "login_refused.html",
            reason=refusal.reason.code,
            login=refusal.user,
            allowed=settings.allowed,
            contact=settings.contact,
            github_url=settings.github_url,
            client_id=settings.client_id,
        )
        self.finish(page)


class LogoutHandler(OAuthLogoutHandler):  # type: ignore[misc]  # untyped
    """Handler of a logout. The logout also revokes the user's GitHub token."""

    authenticator: Authenticator

    async def default_handle_logout(self) -> None:
        """Log the user out as JupyterHub does, then revoke the user's GitHub token."""
        user = self.current_user
        await super().default_handle_logout()
        if user:
            revoked = await self.authenticator.release_token(user)
            audit.log_logout(user.name, await get_github_id(user), token_revoked=revoked)
