"""A client of a hub without a browser. It logs in through the simulated GitHub and stores the cookies."""

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
    """A user's session at a hub, with the cookies of a browser.

    Parameters
    ----------
    hub_url
        URL of the hub for browsers.
    login
        The user's name at GitHub.
    tls
        TLS context for connections with https.

    Attributes
    ----------
    pages
        The text of each response of the hub and the labs.
    states
        OAuth states that the hub has created in this session, and the `state_id` in each state.
    """

    def __init__(self, hub_url: str, login: str, tls: ssl.SSLContext | None = None) -> None:
        self.hub_url = hub_url
        self.login = login
        self.pages: list[str] = []
        self.states: list[str] = []
        hooks = {"response": [self._keep]}
        self.http = httpx.Client(
            base_url=hub_url, follow_redirects=True, timeout=180, event_hooks=hooks, verify=tls or True
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
        """Start a login, and return GitHub's login page. After the login, the hub redirects to its home page."""
        page = self.http.get("/hub/oauth_login?next=/hub/home")
        state = page.url.params["state"]
        self.states += [state, json.loads(base64.urlsafe_b64decode(state))["state_id"]]
        return page

    def log_in(self, *, agree: bool = True) -> httpx.Response:
        """Log in, or cancel the login on GitHub's page. Return the page that follows."""
        page = self.start_login()
        assert page.status_code == 200, page.text
        return self.http.post(page.url, data={"login": self.login if agree else ""})

    def get(self, path: str, **arguments: Any) -> httpx.Response:
        """Open a page of the hub or a lab."""
        return self.http.get(path, **arguments)

    def is_logged_in(self) -> bool:
        """Check whether the hub shows the user's home page, and not the login page."""
        return self.get("/hub/home", follow_redirects=False).status_code == 200

    def log_out(self) -> None:
        """Log out of the hub."""
        self.get("/hub/logout")

    def reaches_lab(self, user: str) -> bool:
        """Check whether this session can reach a user's lab."""
        status = f"/user/{user}/api/status"
        # The lab refuses API requests without the lab's own cookie. A request for a page is redirected to the hub and
        # back, which sets this cookie.
        if self.get(status, follow_redirects=False).status_code == 403:
            self.get(f"/user/{user}/files/")
        return self.get(status, follow_redirects=False).status_code == 200

    def xsrf(self) -> dict[str, str]:
        """Return the XSRF header, which the hub requires in requests that change data."""
        cookies = (cookie for cookie in self.http.cookies.jar if cookie.name == "_xsrf" and cookie.path == "/hub/")
        return {"X-XSRFToken": next(cookie.value or "" for cookie in cookies)}

    def xsrf_field(self) -> dict[str, str]:
        """Return the XSRF token as a form field."""
        return {"_xsrf": self.xsrf()["X-XSRFToken"]}

    def submit_spawn_form(self, **choice: str) -> httpx.Response:
        """Submit the form of the spawn page, and return the page that follows."""
        form = self.get("/hub/spawn")
        found = re.search(r'id="spawn_form"[^>]* action="([^"]+)"', form.text)
        assert found, form.text
        return self.http.post(html.unescape(found[1]), data=choice)

    def spawn(self, user: str, **choice: str) -> None:
        """Start the user's lab and wait until it answers.

        Raises
        ------
        AssertionError
            Raised if the hub refuses, or if the lab does not answer in time.
        """
        started = self.submit_spawn_form(**choice) if choice else self.get("/hub/spawn")
        assert started.status_code == 200, f"{started.status_code} {started.url}\n{started.text[-2000:]}"
        wait_until(lambda: self.reaches_lab(user), f"the lab of {user} answers")
