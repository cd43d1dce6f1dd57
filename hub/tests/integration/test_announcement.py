"""Tests of announcements and of paused spawning. The hub has its complete configuration. Labs are local processes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from labtesting.browser import open_browser
from labtesting.hub_process import free_ports, wait_until
from labtesting.visitor import Visitor
from playwright.sync_api import expect

from hub.tests.integration.conftest import CONFIG, run_site

# Program and settings of the complete hub. The hub's labs are local processes, and no Kubernetes API answers at the
# configured address.
PROGRAM = ("-m", "labhub")
KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: nowhere
contexts: [{name: nowhere, context: {cluster: nowhere, user: nowhere}}]
clusters: [{name: nowhere, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: nowhere, user: {}}]
"""
WHOLE = """
from jupyterhub.spawner import SimpleLocalProcessSpawner
from labhub.configuration import configure_announcements
SimpleLocalProcessSpawner.pod_name = ""
c.LabHub.metrics_port = %d
c.LabHub.lab_namespace = "labs"
configure_announcements(c)
"""
MESSAGE = "Maintenance <b>at noon</b>"
STOP = {"message": MESSAGE, "level": "warning", "ends": None, "spawning": "stopped"}
NOTHING = {"message": "", "level": "info", "ends": None, "spawning": "allowed"}
PATH = "/hub/api/announcement"


@dataclass
class Announcing:
    """A hub that a fixture has restarted during an announcement."""

    site: Any
    metrics: str
    stored: dict[str, Any]
    admin: Visitor

    def put(self, **announcement: Any) -> httpx.Response:
        """Set an announcement as the administrator, with the request that the page for announcements sends."""
        return self.admin.http.put(PATH, json=announcement, headers=self.admin.xsrf())

    def stopped(self) -> float:
        """Return the value of the metric `labhub_spawning_stopped`."""
        sample = re.search(r"^labhub_spawning_stopped (\S+)$", httpx.get(self.metrics).text, re.MULTILINE)
        assert sample
        return float(sample[1])

    def events(self) -> list[dict[str, Any]]:
        """Return all audit events about announcements."""
        return [event for event in self.site.hub.events if event["event.action"].startswith("announcement")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Announcing]:
    """Run the hub, set an announcement that pauses spawning, and restart the hub."""
    folder = tmp_path_factory.mktemp("announcement")
    (folder / "kubeconfig").write_text(KUBECONFIG)
    settings = {"KUBECONFIG": str(folder / "kubeconfig"), "GITHUB_ADMINS": "rubin:admins"}
    (port,) = free_ports(1)
    config = CONFIG + WHOLE % port
    with run_site(folder, config, PROGRAM, **settings) as site:
        assert site.hub.api("PUT", "/announcement", json=STOP).json() == STOP
    with run_site(folder, config, PROGRAM, **settings) as site:
        stored = httpx.get(f"{site.hub.url}{PATH}").json()
        site.hub.api("DELETE", "/announcement")
        admin = site.visitor("keeper")
        assert admin.log_in().status_code == 200
        yield Announcing(site, f"http://127.0.0.1:{port}/metrics", stored, admin)


@pytest.fixture(autouse=True)
def _nothing_announced(whole: Announcing) -> Iterator[None]:
    yield
    assert whole.site.hub.api("DELETE", "/announcement").status_code == 204


def test_announcement_survives_a_restart_of_the_hub(whole: Announcing) -> None:
    assert whole.stored == STOP


def test_announcement_is_public_and_cacheable(whole: Announcing) -> None:
    url = f"{whole.site.hub.url}{PATH}"
    assert whole.put(message="One", ends="2099-01-01T00:00:00+01:00").status_code == 200
    first = httpx.get(url)
    assert first.json() == {"message": "One", "level": "info", "ends": "2098-12-31T23:00:00Z", "spawning": "allowed"}
    again = httpx.get(url, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    whole.put(message="Two")
    assert httpx.get(url, headers={"If-None-Match": first.headers["ETag"]}).json()["message"] == "Two"
    assert "GET /hub/api/announcement" not in whole.site.hub.log


def test_announcement_is_shown_as_text_on_each_page(whole: Announcing) -> None:
    whole.put(message=MESSAGE)
    ida, _ = whole.site.member("ida")
    stranger = whole.site.visitor("stranger")
    pages = [ida.get("/hub/home"), ida.get("/hub/token"), ida.get("/hub/nowhere"), stranger.get("/hub/login")]
    assert [page.status_code for page in pages] == [200, 200, 404, 200]
    for page in pages:
        assert "<strong>Maintenance &lt;b&gt;at noon&lt;/b&gt;</strong>" in page.text
        assert "No new lab can start" not in page.text
    assert "/hub/announce" not in pages[0].text
    assert "/hub/announce" in whole.admin.get("/hub/admin").text


def test_paused_spawning_keeps_running_and_starting_labs(whole: Announcing) -> None:
    site = whole.site
    (una, _), (otto, _) = site.member("una"), site.member("otto")
    assert una.get("/hub/spawn", follow_redirects=False).status_code == 302
    assert whole.put(**STOP).status_code == 200
    wait_until(lambda: una.reaches_lab("una"), "the lab that was starting answers")
    assert una.get("/hub/spawn?next=/user/una/files/").url.path.startswith("/user/una/")

    for page in ("/hub/spawn", "/hub/spawn/otto?next=/user/otto/lab", "/hub/spawn?opt-image=any"):
        refused = otto.get(page)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
        assert "No new lab can start now" in refused.text
        assert "&lt;b&gt;at noon" in refused.text
        assert "<form" not in refused.text
    assert 'href="/hub/spawn/otto?next=%2Fuser%2Fotto%2Flab"' in otto.get("/hub/spawn/otto?next=/user/otto/lab").text
    assert otto.http.post("/hub/spawn", data=otto.xsrf_field()).status_code == 429
    assert 'id="start"' not in otto.get("/hub/user/otto/").text
    body = {"status": 429, "message": f"No new lab can start now: {MESSAGE}"}
    response = otto.http.post("/hub/api/users/otto/server", headers=otto.xsrf())
    assert (response.status_code, response.json(), response.headers["Retry-After"]) == (429, body, "60")
    # The pause also applies to labs that an administrator starts, and to an administrator's own lab.
    assert whole.admin.http.post("/hub/api/users/otto/server", headers=whole.admin.xsrf()).json() == body
    assert whole.admin.get("/hub/spawn/otto").status_code == 429
    assert site.hub.api("POST", "/users/keeper/server").status_code == 429
    assert not site.lab_runs("otto")

    assert whole.admin.http.delete(PATH, headers=whole.admin.xsrf()).status_code == 204
    otto.spawn("otto")
    for name in ("una", "otto"):
        site.stop_lab(name)


def test_only_administrators_change_the_announcement(whole: Announcing) -> None:
    vic, _ = whole.site.member("vic")
    created = whole.admin.http.post(
        "/hub/api/users/keeper/tokens", headers=whole.admin.xsrf(), json={"scopes": ["admin:servers!user=vic"]}
    )
    limited = {"Authorization": f"token {created.json()['token']}"}
    for answer in (
        httpx.put(f"{whole.site.hub.url}{PATH}", json=STOP, headers=limited),
        vic.http.put(PATH, json=STOP, headers=vic.xsrf()),
        vic.http.delete(PATH, headers=vic.xsrf()),
        httpx.put(f"{whole.site.hub.url}{PATH}", json=STOP),
        whole.admin.http.put(PATH, json=STOP),  # without an XSRF token, as from another web site
        vic.get("/hub/announce"),
    ):
        assert answer.status_code == 403
    assert httpx.get(f"{whole.site.hub.url}{PATH}").json() == NOTHING


def test_invalid_announcement_changes_nothing(whole: Announcing) -> None:
    whole.put(message="Before")
    answer = whole.put(message="x", ends="noon 100%")
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("ends: found 'noon 100%', wanted a future time with a time zone")
    broken = whole.admin.http.put(PATH, content=b"{", headers=whole.admin.xsrf())
    assert broken.status_code == 400
    assert broken.json()["message"] == "found invalid JSON, wanted an object with a message"
    assert httpx.get(f"{whole.site.hub.url}{PATH}").json()["message"] == "Before"


def test_log_and_metric_show_paused_spawning(whole: Announcing) -> None:
    before = len(whole.events())
    assert whole.stopped() == 0
    ends = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
    whole.put(**STOP | {"ends": ends})
    assert whole.stopped() == 1
    wait_until(lambda: whole.stopped() == 0, "the announcement ends")
    assert httpx.get(f"{whole.site.hub.url}{PATH}").json() == NOTHING
    whole.put(message="Back again")
    whole.admin.http.delete(PATH, headers=whole.admin.xsrf())
    whole.admin.http.delete(PATH, headers=whole.admin.xsrf())  # without an announcement, this logs no event
    fields = ("event.action", "log.level", "hub.announcement_message", "hub.announcement_spawning")
    assert [tuple(event[field] for field in fields) for event in whole.events()[before:]] == [
        ("announcement", "warning", MESSAGE, "stopped"),
        ("announcement", "info", "Back again", "allowed"),
        ("announcement_end", "info", "Back again", "allowed"),
    ]
    assert {event["hub.administrator"] for event in whole.events()[before:]} == {"keeper"}


def test_administrator_announces_with_the_keyboard(whole: Announcing, screenshots: Path) -> None:
    whole.site.member("zoe")
    with open_browser() as browser, whole.site.browse(browser, height=800) as page:
        page.goto(f"{whole.site.hub.url}/hub/login?next=/hub/home")
        page.get_by_role("button", name="Sign in with GitHub").click()
        page.locator('button[name="login"][value="keeper"]').click()
        page.get_by_role("link", name="Announce").press("Enter")
        page.get_by_label("Message").focus()
        page.keyboard.type("Down from noon: save your work, please")
        page.keyboard.press("Tab")
        page.keyboard.type("warning")
        page.get_by_label("Until").fill("2001-01-01T12:00")
        page.get_by_label("Pause spawning").press("Space")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#announce-answer")).to_contain_text("ends: found '2001-01-01T12:00:00.000Z'")
        page.screenshot(path=screenshots / "announce-refused.png", full_page=True)
        page.get_by_label("Until").fill("2099-01-01T12:00")
        page.get_by_label("Until").press("Enter")
        banner = page.locator("#announcement")
        expect(banner).to_contain_text("Down from noon: save your work, please")
        expect(banner).to_contain_text("Jan 1, 2099")
        assert whole.site.hub.api("GET", "/announcement").json()["level"] == "warning"
        # The page's form contains the announcement that the administrator has just set.
        expect(page.get_by_label("Message")).to_have_value("Down from noon: save your work, please")
        expect(page.get_by_label("Until")).to_have_value("2099-01-01T12:00")
        expect(page.get_by_label("Pause spawning")).to_be_checked()
        page.screenshot(path=screenshots / "announce.png", full_page=True)

        page.goto(f"{whole.site.hub.url}/hub/spawn")
        expect(page.get_by_role("heading", name="No new lab can start now")).to_be_visible()
        page.screenshot(path=screenshots / "stopped.png", full_page=True)
        page.set_viewport_size({"width": 390, "height": 700})
        page.emulate_media(color_scheme="dark")
        page.goto(f"{whole.site.hub.url}/hub/announce")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.screenshot(path=screenshots / "announce-phone.png", full_page=True)
        page.get_by_role("button", name="End announcement").press("Enter")
        expect(banner).to_have_count(0)
        assert whole.site.hub.api("GET", "/announcement").json() == NOTHING
