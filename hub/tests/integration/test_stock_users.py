"""Tests of a database from a hub with the stock GitHubOAuthenticator. The users of that hub log in to our hub."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

STOCK = """
import os
c.JupyterHub.authenticator_class = "github"
c.GitHubOAuthenticator.oauth_callback_url = os.environ["OAUTH_CALLBACK_URL"]
c.GitHubOAuthenticator.allowed_organizations = {"lsst-sqre"}
c.GitHubOAuthenticator.scope = ["read:org"]
c.GitHubOAuthenticator.enable_auth_state = True
"""


def enroll(site: Any, login: str, account_id: int) -> Any:
    account = site.world.add_account(login, account_id)
    site.world.find_organization("lsst-sqre").members[account.id] = "active"
    return site.visitor(login)


def test_stock_users_are_matched_by_their_github_id(start_site: Any, tmp_path: Path) -> None:
    keys = {"JUPYTERHUB_CRYPT_KEY": secrets.token_hex(32), "JUPYTERHUB_CRYPT_KEY_FILE": ""}
    with start_site(tmp_path, STOCK, **keys) as stock:
        assert enroll(stock, "stays", 5001).log_in().status_code == 200
        assert enroll(stock, "leaves", 5002).log_in().status_code == 200
        assert stock.hub.user("stays")["user_info"] is None
        stock.hub.api("POST", "/users/planned")
        stock.hub.api("PATCH", "/users/leaves", json={"admin": True})
    with start_site(tmp_path, **keys) as ours:
        assert enroll(ours, "stays", 5001).log_in().status_code == 200
        assert ours.hub.user("stays")["user_info"] == {"github_id": 5001}
        refused = enroll(ours, "leaves", 5003).log_in()
        assert refused.status_code == 403
        assert "belongs to another account" in refused.text
        assert ours.hub.user("leaves")["user_info"] is None
        assert ours.hub.user("leaves")["auth_state"]["github_user"]["id"] == 5002
        # A user whom an administrator has created has no GitHub id. The user belongs to the account whose login is the
        # user name.
        assert enroll(ours, "planned", 5004).log_in().status_code == 200
        assert ours.hub.user("planned")["user_info"] == {"github_id": 5004}
