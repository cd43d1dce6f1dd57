"""Somebody with a browser's session who signs in at a hub with GitHub, without the browser."""

from __future__ import annotations

import base64
import html
import json
import re
import ssl
from typing import Any

import httpx

from labtesting.hub_process import wait_until


class Visitor:
    """A session of cookies.

    Parameters
    ----------
    hub_url
        As a browser reaches it.
    login
        Who they are at GitHub.
    tls
        Whom to believe, if GitHub answers over https.

    Attributes
    ----------
    pages
        The text of everything that the hub and the labs have shown.
    states
        OAuth states that were made for this session, and what is packed in them.
    """

    def __init__(self, hub_url: str, login: str, tls: ssl.SSLContext | None = None) -> None:
        self.hub_url = hub_url
        self.login = login
        self.pages: list[str] = []
        self.states: list[str] = []
        hooks = {"response": [self._keep]}
        self.http = httpx.Client(
            base_url=hub_url, follow_redirects=True, timeout=60, event_hooks=hooks, verify=tls or True
        )

    def __enter__(self) -> Visitor:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def _keep(self, response: httpx.Response) -> None:
        if str(response.url).startswith(self.hub_url):
            response.read()
            self.pages.append(response.text)

    def start_login(self) -> httpx.Response:
        """Press the button of the login page, to come to the hub's home page; give GitHub's page."""
        page = self.http.get("/hub/oauth_login?next=/hub/home")
        state = page.url.params["state"]
        self.states += [state, json.loads(base64.urlsafe_b64decode(state))["state_id"]]
        return page

    def log_in(self, *, agree: bool = True) -> httpx.Response:
        """Sign in, or cancel at GitHub; give the page that follows."""
        page = self.start_login()
        assert page.status_code == 200, page.text
        return self.http.post(page.url, data={"login": self.login if agree else ""})

    def get(self, path: str, **arguments: Any) -> httpx.Response:
        """Open a page of the hub or a lab."""
        return self.http.get(path, **arguments)

    def is_logged_in(self) -> bool:
        """Tell whether the hub shows them their home page."""
        return self.get("/hub/home", follow_redirects=False).status_code == 200

    def log_out(self) -> None:
        """Press the hub's logout."""
        self.get("/hub/logout")

    def reaches_lab(self, user: str) -> bool:
        """Tell whether the user's lab answers them."""
        status = f"/user/{user}/api/status"
        # A call of the API is refused when it comes without the lab's own cookie; a page goes to the hub for one.
        if self.get(status, follow_redirects=False).status_code == 403:
            self.get(f"/user/{user}/files/")
        return self.get(status, follow_redirects=False).status_code == 200

    def xsrf(self) -> dict[str, str]:
        """Give the header with which the hub takes a call that changes something."""
        cookies = (cookie for cookie in self.http.cookies.jar if cookie.name == "_xsrf" and cookie.path == "/hub/")
        return {"X-XSRFToken": next(cookie.value or "" for cookie in cookies)}

    def xsrf_field(self) -> dict[str, str]:
        """Give the same as the hidden field of a form."""
        return {"_xsrf": self.xsrf()["X-XSRFToken"]}

    def submit_spawn_form(self, **choice: str) -> httpx.Response:
        """Fill in the form of what lab to start and send it; give the page that follows."""
        form = self.get("/hub/spawn")
        found = re.search(r'id="spawn_form"[^>]* action="([^"]+)"', form.text)
        assert found, form.text
        return self.http.post(html.unescape(found[1]), data=choice)

    def spawn(self, user: str, **choice: str) -> None:
        """Start the user's lab and wait until it answers.

        Raises
        ------
        AssertionError
            The hub refuses, or the lab does not come.
        """
        started = self.submit_spawn_form(**choice) if choice else self.get("/hub/spawn")
        assert started.status_code == 200, f"{started.status_code} {started.url}\n{started.text[-2000:]}"
        wait_until(lambda: self.reaches_lab(user), f"the lab of {user} answers")
