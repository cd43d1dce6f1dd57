"""The pages of a login and a logout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oauthenticator.oauth2 import OAuthCallbackHandler, OAuthLogoutHandler  # type: ignore[import-untyped]
from tornado import web

from labhub.telemetry import audit as audit
from labhub.login.user_accounts import stored_id
from labhub.models.login_errors import Reason, RefusedError

if TYPE_CHECKING:
    from labhub.login.authenticator import LabAuthenticator

RETRY_AFTER = "60"


class CallbackHandler(OAuthCallbackHandler):  # type: ignore[misc]  # untyped
    """Where GitHub sends the browser back to: lets in, or refuses with a page that says why."""

    authenticator: LabAuthenticator

    async def get(self) -> None:
        """Log in."""
        try:
            await super().get()
        except RefusedError as refusal:
            await self.refuse(refusal)
        except web.HTTPError as error:
            await self.refuse(RefusedError(self._explain(error)))

    def _explain(self, error: web.HTTPError) -> Reason:
        if self.get_argument("error", "") == "access_denied":
            return Reason.CANCELLED
        # The only 403 that is left is the one of a login that was answered with None: JupyterHub's block list.
        return Reason.BLOCKED if error.status_code == 403 else Reason.BAD_REQUEST

    async def refuse(self, refusal: RefusedError) -> None:
        """Answer with the page for the reason."""
        audit.refusal(refusal.user, refusal.github_id, refusal.reason.code)
        settings = self.authenticator.settings
        self.set_status(refusal.reason.status)
        if refusal.reason in {Reason.GITHUB_DOWN, Reason.RATE_LIMITED}:
            self.set_header("Retry-After", RETRY_AFTER)
        page = await self.render_template(
            "refused.html",
            reason=refusal.reason.code,
            login=refusal.user,
            allowed=settings.allowed,
            contact=settings.contact,
            github_url=settings.github_url,
            client_id=settings.client_id,
        )
        self.finish(page)


class LogoutHandler(OAuthLogoutHandler):  # type: ignore[misc]  # untyped
    """Logs out of the hub, and takes the token back at GitHub."""

    authenticator: LabAuthenticator

    async def default_handle_logout(self) -> None:
        """Log out as usual, then let go of the token."""
        user = self.current_user
        await super().default_handle_logout()
        if user:
            revoked = await self.authenticator.release_token(user)
            audit.logout(user.name, await stored_id(user), token_revoked=revoked)
