"""Tests of access decisions for members of hidden organizations and for administrators, with a fake GitHub."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from labhub.login.access_evaluator import AccessDecision, AccessEvaluator
from labhub.login.github import GitHub
from labhub.models.access_rules import Admission
from labhub.settings.environment import load
from labhub.settings.login import LoginSettings
from labtesting.github import FakeGitHub, Organization, run_fake_github


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    with run_fake_github("http://127.0.0.1:9/hub/oauth_callback") as github:
        yield github


@pytest.fixture
def evaluator(github: FakeGitHub) -> AccessEvaluator:
    settings = load(
        {
            "JUPYTERHUB_CRYPT_KEY": "ab" * 32,
            "GITHUB_CLIENT_ID": "labhub-test",
            "GITHUB_CLIENT_SECRET": "made-up-client-secret",
            "OAUTH_CALLBACK_URL": github.world.app.callback.replace("http:", "https:"),
            "GITHUB_ORGANIZATION_WHITELIST": "open,walled",
            "GITHUB_ADMINS": "4242,open:chiefs",
        },
        LoginSettings,
    )
    return AccessEvaluator(GitHub(f"{github.url}/api/v3", 5), settings)


async def evaluate_twice(
    github: FakeGitHub, evaluator: AccessEvaluator, leaves: Organization, hides: Organization
) -> AccessDecision:
    """Evaluate a member of two organizations twice, and return the second decision.

    Between the evaluations, the member leaves one organization, and the other organization hides the membership.
    """
    ada = github.world.accounts[next(iter(leaves.members))]
    token = github.world.issue_token(ada, "read:org")
    first = await evaluator.evaluate(token)
    assert first.admission is Admission.ADMITTED
    assert first.identity is not None
    del leaves.members[ada.id]
    hides.sso = True
    return await evaluator.evaluate(token, first.identity.organizations)


@pytest.mark.asyncio
async def test_hidden_organization_keeps_a_known_membership(github: FakeGitHub, evaluator: AccessEvaluator) -> None:
    ada = github.world.add_account("ada")
    leaves, hides = github.world.add_organization("open", ada), github.world.add_organization("walled", ada)
    decision = await evaluate_twice(github, evaluator, leaves, hides)
    assert decision.admission is Admission.UNKNOWN
    assert decision.identity is not None
    assert [group.gid for group in decision.identity.groups] == [hides.id]


@pytest.mark.asyncio
async def test_hidden_organization_admits_no_unknown_member(github: FakeGitHub, evaluator: AccessEvaluator) -> None:
    ada = github.world.add_account("ada")
    leaves, hides = github.world.add_organization("open", ada), github.world.add_organization("walled")
    assert (await evaluate_twice(github, evaluator, leaves, hides)).admission is Admission.OUTSIDER


@pytest.mark.asyncio
@pytest.mark.parametrize(("account_id", "team", "admin"), [(4242, [], True), (0, ["ada"], True), (0, [], False)])
async def test_administrators_are_named_by_id_or_team(
    github: FakeGitHub, evaluator: AccessEvaluator, account_id: int, team: list[str], admin: bool
) -> None:
    ada = github.world.add_account("ada", account_id)
    github.world.add_organization("open", ada, chiefs=[ada] if team else [])
    decision = await evaluator.evaluate(github.world.issue_token(ada, "read:org"))
    assert decision.admin is admin
