"""Tests of the login of a standalone lab: only one user with the right password may log in."""

from __future__ import annotations

from labtesting.labclient import HubLogin, LabClient


def test_wrong_password_shows_an_error_page(hub: HubLogin) -> None:
    with LabClient(hub.url, hub.user) as client:
        page = client.log_in("not the password")
        assert page.status_code == 403
        assert "Invalid username or password" in page.text
        assert client.http.get("/hub/home").url.path == "/hub/login"


def test_other_user_with_the_password_is_refused(hub: HubLogin) -> None:
    with LabClient(hub.url, "somebody-else") as client:
        assert client.log_in(hub.password).status_code == 403


def test_lab_requires_a_login(hub: HubLogin, lab: LabClient) -> None:
    with LabClient(hub.url, hub.user) as stranger:
        assert stranger.http.get(f"{lab.base}api/kernels").status_code == 403
        assert stranger.http.get(f"{lab.base}lab").url.path == "/hub/login"
