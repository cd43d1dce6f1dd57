"""Tests of failed image pulls. A transient failure delays the lab's start, and the progress page shows the reason."""

from __future__ import annotations

import pytest
from labhub.labs.starting.start_problem import IMAGE_NOTICE
from labtesting.hub_process import wait_until
from labtesting.registry import Registry
from playwright.sync_api import Browser, expect

from hub.tests.cluster.deployment import Deployment
from hub.tests.cluster.pages import SOON, choose, expect_lab, page_of


@pytest.mark.parametrize(
    ("login", "image", "status", "reason"),
    [("wim", "limited", 429, "429 Too Many Requests"), ("xenia", "down", 503, "503 Service Unavailable")],
)
def test_lab_waits_while_the_registry_refuses_pulls(
    browser: Browser, deployment: Deployment, registry: Registry, login: str, image: str, status: int, reason: str
) -> None:
    repository = f"{image}/lab"
    registry.faults[repository] = status
    with page_of(browser, deployment, login) as page:
        choose(page, image, "small")
        expect(page.locator("#notice")).to_have_text(IMAGE_NOTICE, timeout=SOON * 1000)
        expect(page.locator("#detail")).to_contain_text(reason)
        # kubelet repeats the pull after ten seconds. If this pull also fails, kubelet reports ImagePullBackOff.
        expect(page.locator("#detail")).to_contain_text("ImagePullBackOff", timeout=60_000)
        expect(page.locator("#detail")).to_contain_text(reason)
        first = registry.answers.count((repository, status))
        wait_until(lambda: registry.answers.count((repository, status)) > first, "kubelet repeats the pull", 60)
        assert deployment.server(login)["pending"] == "spawn"
        del registry.faults[repository]
        expect_lab(page, login)
    assert (repository, 200) in registry.answers
