"""A simulated user who requests a lab and waits for the launcher. The user sends the same requests as a browser."""

from __future__ import annotations

import html
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

PROGRESS = re.compile(r"""["'](/hub/api/users/[^"'\s]+/progress[^"'\s]*)["']""")
XSRF = re.compile(r"""name=["']_xsrf["'] value=["']([^"']+)["']""")
# The paths that JupyterLab requests before it shows its launcher
LAUNCHER = (
    "lab/api/settings",
    "lab/api/workspaces/default",
    "lab/api/translations/default",
    "api/kernelspecs",
    "api/kernels",
    "api/contents?content=1",
)
# The steps of a spawn that the user sees, in chronological order
STEPS = ("progress page shown", "hub reports the lab as ready", "lab's page loaded", "launcher loaded")


class SpawnError(Exception):
    """The error if the hub does not start a lab, or refuses a login. The message has the hub's answer."""


@dataclass(frozen=True)
class Person:
    """A simulated user who is logged in at a hub.

    Attributes
    ----------
    name
        Name of the user at the hub.
    form
        Fields of the spawn form. None for a hub that starts labs without a form.
    lost
        HTTP status of each page that showed no pending spawn, although the user had requested a lab.
    """

    http: httpx.Client
    name: str
    form: Mapping[str, str] | None = None
    lost: list[int] = field(default_factory=list)

    @property
    def base(self) -> str:
        """The path of the user's lab."""
        return f"/user/{self.name}/"

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Request a page, and return the answer.

        Raises
        ------
        SpawnError
            Raised if the status of the answer is not 200.
        """
        response = self.http.get(path, headers=headers)
        if response.status_code != 200:
            raise SpawnError(f"{self.name}: {response.status_code} from {response.url}\n{response.text[-1000:]}")
        return response

    def click(self) -> httpx.Response:
        """Request a lab as the button of the spawn page does, and return the page that follows."""
        path = f"/hub/spawn/{self.name}"
        if self.form is None:
            return self.get(path)
        xsrf = cookie(self.http, "_xsrf", "/hub/")
        return self.http.post(path, params={"_xsrf": xsrf}, data=dict(self.form))

    def spawn(self) -> dict[str, float]:
        """Request a lab, and wait until the lab has answered all requests that JupyterLab sends before its launcher.

        Returns
        -------
        dict
            Time of each of `STEPS`, by the clock of `time.monotonic`.

        Raises
        ------
        SpawnError
            Raised if the hub or the lab sends an unexpected answer.
        """
        times = []
        page = self.click()
        times.append(time.monotonic())
        if not str(page.url.path).startswith(self.base):
            self._wait(page)
        times.append(time.monotonic())
        page = self.get(page.url.raw_path.decode())
        if not str(page.url.path).startswith(self.base):
            raise SpawnError(f"{self.name}: wanted the lab, found {page.url}\n{page.text[-1000:]}")
        times.append(time.monotonic())
        xsrf = cookie(self.http, "_xsrf", self.base)
        for path in LAUNCHER:
            self.get(self.base + path, **{"X-XSRFToken": xsrf})
        times.append(time.monotonic())
        return dict(zip(STEPS, times, strict=True))

    def _wait(self, page: httpx.Response) -> None:
        """Send the requests that a browser sends on the progress page, until the spawn ends."""
        deadline = time.monotonic() + 30
        found = find_progress(page)
        while found is None and time.monotonic() < deadline and "/spawn-pending/" in page.url.path:
            # The page shows no pending spawn, although the user has requested a lab.
            self.lost.append(page.status_code)
            time.sleep(0.2)
            page = self.http.get(page.url)
            if page.url.path.startswith(self.base):
                return
            found = find_progress(page)
        if found is None:
            raise SpawnError(f"{self.name}: wanted the progress page, found {page.url}\n{page.text[-1000:]}")
        headers = {"Accept": "text/event-stream", "Referer": str(page.url)}
        with self.http.stream("GET", found[1], headers=headers, timeout=300) as stream:
            for line in stream.iter_lines():
                event = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
                if event.get("failed"):
                    raise SpawnError(f"{self.name}: {event}")
                if event.get("ready"):
                    return
        raise SpawnError(f"{self.name}: the progress events ended without a lab (status {stream.status_code})")


def find_progress(page: httpx.Response) -> re.Match[str] | None:
    """Find the URL of the progress events in the text of a progress page."""
    return PROGRESS.search(html.unescape(page.text).replace(r"\u0026", "&"))


def cookie(http: httpx.Client, name: str, path: str) -> str:
    """Return the value of the cookie with this name and path, or an empty string."""
    cookies = (item for item in http.cookies.jar if item.name == name and item.path == path)
    return next((item.value or "" for item in cookies), "")


def log_in_by_name(url: str, name: str) -> Person:
    """Log in at stock JupyterHub, which accepts any password, and return the user."""
    http = httpx.Client(base_url=url, follow_redirects=True, timeout=120)
    page = http.get("/hub/login")
    found = XSRF.search(page.text)
    data = {"username": name, "password": "any", "_xsrf": found[1] if found else ""}
    page = http.post("/hub/login", params={"next": "/hub/home"}, data=data)
    if page.url.path != "/hub/home":
        raise SpawnError(f"the hub refused the login of {name}: {page.status_code} {page.url}\n{page.text[-1000:]}")
    return Person(http, name)
