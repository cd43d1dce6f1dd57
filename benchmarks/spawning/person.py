"""Somebody who clicks, and waits for a launcher: what a browser asks for, in its order."""

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
# What JupyterLab asks for before it shows its launcher
LAUNCHER = (
    "lab/api/settings",
    "lab/api/workspaces/default",
    "lab/api/translations/default",
    "api/kernelspecs",
    "api/kernels",
    "api/contents?content=1",
)
# What the person has seen by when, in this order
STEPS = ("hub's page waits", "hub says ready", "lab's page there", "launcher answers")


class SpawnError(Exception):
    """No lab came; the message says what came."""


@dataclass(frozen=True)
class Person:
    """Somebody who is logged in.

    Attributes
    ----------
    name
        As the hub knows them.
    form
        What they choose; None where the hub starts a lab without asking.
    lost
        One for each time that they were told that no lab runs nor starts, after they had asked for one.
    """

    http: httpx.Client
    name: str
    form: Mapping[str, str] | None = None
    lost: list[int] = field(default_factory=list)

    @property
    def base(self) -> str:
        """The path of their lab."""
        return f"/user/{self.name}/"

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Ask for something that must be there.

        Raises
        ------
        SpawnError
            It is not.
        """
        response = self.http.get(path, headers=headers)
        if response.status_code != 200:
            raise SpawnError(f"{self.name}: {response.status_code} from {response.url}\n{response.text[-1000:]}")
        return response

    def click(self) -> httpx.Response:
        """Ask for a lab; give the page that follows."""
        path = f"/hub/spawn/{self.name}"
        if self.form is None:
            return self.get(path)
        xsrf = cookie(self.http, "_xsrf", "/hub/")
        return self.http.post(path, params={"_xsrf": xsrf}, data=dict(self.form))

    def spawn(self) -> dict[str, float]:
        """Click, and wait until the launcher has all that it asks for.

        Returns
        -------
        dict
            When each of `STEPS` came, by the clock of `time.monotonic`.

        Raises
        ------
        SpawnError
            Something else came.
        """
        seen = []
        page = self.click()
        seen.append(time.monotonic())
        if not str(page.url.path).startswith(self.base):
            self._wait(page)
        seen.append(time.monotonic())
        page = self.get(page.url.raw_path.decode())
        if not str(page.url.path).startswith(self.base):
            raise SpawnError(f"{self.name}: wanted the lab, found {page.url}\n{page.text[-1000:]}")
        seen.append(time.monotonic())
        xsrf = cookie(self.http, "_xsrf", self.base)
        for path in LAUNCHER:
            self.get(self.base + path, **{"X-XSRFToken": xsrf})
        seen.append(time.monotonic())
        return dict(zip(STEPS, seen, strict=True))

    def _wait(self, page: httpx.Response) -> None:
        """Listen, as the page that waits does."""
        deadline = time.monotonic() + 30
        found = find_progress(page)
        while found is None and time.monotonic() < deadline and "/spawn-pending/" in page.url.path:
            # It says that no lab runs nor starts, though one was asked for.
            self.lost.append(page.status_code)
            time.sleep(0.2)
            page = self.http.get(page.url)
            if page.url.path.startswith(self.base):
                return
            found = find_progress(page)
        if found is None:
            raise SpawnError(f"{self.name}: wanted the page that waits, found {page.url}\n{page.text[-1000:]}")
        headers = {"Accept": "text/event-stream", "Referer": str(page.url)}
        with self.http.stream("GET", found[1], headers=headers, timeout=300) as stream:
            for line in stream.iter_lines():
                event = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
                if event.get("failed"):
                    raise SpawnError(f"{self.name}: {event}")
                if event.get("ready"):
                    return
        raise SpawnError(f"{self.name}: the progress ended without a lab ({stream.status_code})")


def find_progress(page: httpx.Response) -> re.Match[str] | None:
    """Find where a page that waits listens."""
    return PROGRESS.search(html.unescape(page.text).replace(r"\u0026", "&"))


def cookie(http: httpx.Client, name: str, path: str) -> str:
    """Give a cookie of a path."""
    return next((one.value or "" for one in http.cookies.jar if one.name == name and one.path == path), "")


def log_in_by_name(url: str, name: str) -> Person:
    """Log in at a hub that asks for a name only."""
    http = httpx.Client(base_url=url, follow_redirects=True, timeout=120)
    page = http.get("/hub/login")
    found = XSRF.search(page.text)
    data = {"username": name, "password": "any", "_xsrf": found[1] if found else ""}
    page = http.post("/hub/login", params={"next": "/hub/home"}, data=data)
    if page.url.path != "/hub/home":
        raise SpawnError(f"{name} is not let in: {page.status_code} {page.url}\n{page.text[-1000:]}")
    return Person(http, name)
