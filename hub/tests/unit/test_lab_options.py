"""Tests of clean settings, which the pages offer after a failure. A request for clean settings applies to one start.

The tests use a real JupyterHub user and a fake Kubernetes API. `cluster/test_clean_settings.py` uses real labs.
"""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jupyterhub.spawner import SpawnException  # type: ignore[import-untyped]
from labhub.labs.pod_status import diagnose
from labhub.models.profiles import ChoiceError
from labtesting.contracts import read_contract

from hub.tests.unit.test_lab_pages import MENU, PAGES, SPAWNER, STOPPED, render
from hub.tests.unit.test_spawner import Lab, fileserver, lab

__all__ = ["fileserver", "lab"]  # so that pytest finds these fixtures
FAILED = {
    "phase": "Failed",
    "containerStatuses": [
        {"name": "notebook", "state": {"terminated": {"exitCode": 1, "message": "No such directory"}}}
    ],
}


def lab_environment(lab: Lab) -> dict[str, str]:
    """Return the environment variables of the last created pod, without those that JupyterHub sets."""
    variables = lab.cluster.api.created[-1]["spec"]["containers"][0]["env"]
    return {item["name"]: item["value"] for item in variables if not item["name"].startswith(("JUPYTER", "JPY_"))}


def stored_options(lab: Lab) -> dict[str, str]:
    """Return the user options of the lab in JupyterHub's database."""
    options: dict[str, str] = lab.user.orm_user.orm_spawners[""].user_options
    return options


@pytest.mark.asyncio
async def test_clean_settings_apply_to_one_start(lab: Lab) -> None:
    options = lab.spawner.run_options_from_form({"size": ["large"], "settings": ["clean"]})
    assert options == {"image": "recommended", "size": "large", "settings": "clean"}
    await lab.start(**options)
    environment = lab_environment(lab)
    assert environment["LAB_CLEAN_SETTINGS"] == "1"
    Draft202012Validator(read_contract("lab-environment")).validate(environment)
    assert stored_options(lab) == {"image": "recommended", "size": "large"}
    await lab.user.stop("")
    await lab.user.spawn("", options=None)  # a start without options uses the stored options
    assert "LAB_CLEAN_SETTINGS" not in lab_environment(lab)


@pytest.mark.asyncio
async def test_a_failed_clean_start_is_not_repeated(lab: Lab) -> None:
    lab.cluster.api.pending_status = FAILED
    with pytest.raises(SpawnException):
        await lab.start(size="large", settings="clean")
    assert stored_options(lab) == {"size": "large"}


@pytest.mark.asyncio
async def test_a_link_cannot_request_clean_settings(lab: Lab) -> None:
    with pytest.raises(SpawnException) as refused:
        lab.spawner.options_from_query({"size": ["large"], "settings": ["clean"]})
    assert refused.value.status_code == 400
    assert "wanted a choice on the spawn page" in refused.value.jupyterhub_message


@pytest.mark.asyncio
async def test_after_a_failed_start_the_spawn_page_opens(lab: Lab) -> None:
    lab.spawner.menu = lab.spawner.menu.model_copy(update={"sizes": lab.spawner.menu.sizes[:1]})
    assert await lab.spawner.get_options_form() == "", "the menu has one image and one size"
    lab.cluster.api.pending_status = FAILED
    with pytest.raises(SpawnException):
        await lab.start()
    stored = lab.user.orm_user.orm_spawners[""].state["last_end"]
    assert (stored["reason"], stored["started"]) == ("ended", False)
    assert "No such directory" in stored["detail"]
    spawner = lab.user.get_spawner("", replace_failed=True)  # in the same way as the spawn page
    assert await spawner.get_options_form()
    assert spawner.suspects_settings


@pytest.mark.asyncio
async def test_reason_of_a_failed_start_survives_a_poll(lab: Lab) -> None:
    await lab.start()
    await lab.spawner.stop()
    lab.cluster.api.pending_status = FAILED
    lab.spawner._end_noted = False  # as at the beginning of a start
    with pytest.raises(SpawnException):
        await lab.spawner.start()
    assert lab.spawner.server, "JupyterHub removes the address only after `start`"
    await lab.spawner.poll()
    assert lab.spawner.last_end is not None
    assert lab.spawner.last_end["reason"] == "ended"


@pytest.mark.asyncio
@pytest.mark.parametrize(("reason", "suspected"), [("ended", True), ("timeout", True), ("memory", False)])
async def test_settings_are_suspected_only_for_some_ends(lab: Lab, reason: str, suspected: bool) -> None:
    lab.spawner.store_end(diagnose(reason))
    assert lab.spawner.suspects_settings == suspected


@pytest.mark.parametrize("value", ["", "Clean", "1", None, ["clean"]])
def test_unknown_value_of_settings_is_refused(value: Any) -> None:
    with pytest.raises(ChoiceError, match=r"settings: found .*, wanted kept or clean"):
        MENU.choose({"settings": value})


def test_the_last_choice_never_has_clean_settings() -> None:
    stored = {"image": "recommended", "size": "large", "settings": "clean"}
    assert MENU.choose(stored).to_dict() == stored
    assert MENU.restore_choice(stored).to_dict() == {"image": "recommended", "size": "large"}


@pytest.mark.parametrize(("suspected", "shown"), [(True, "open"), (False, "")])
def test_the_spawn_page_offers_clean_settings(suspected: bool, shown: str) -> None:
    SPAWNER.suspects_settings = suspected
    html = PAGES.get_template("spawn.html").render(spawner=SPAWNER, user=SPAWNER, static_url=lambda name, **_: name)
    assert f'<details id="clean-settings" class="lab-clean" {shown}>' in html
    assert '<input type="checkbox" name="settings" value="clean">' in html
    assert "Nothing is deleted." in html


def test_the_spawn_page_shows_a_failed_start() -> None:
    spawner = type(SPAWNER)(**vars(SPAWNER) | {"last_end": {"message": "Why.", "started": False}})
    shown = render("spawn.html", spawner=spawner)
    assert "Your lab did not start. Why." in shown
    assert "Your last lab has ended." not in shown


def test_home_page_offers_clean_settings_with_the_last_choice() -> None:
    server = type(STOPPED)(active=False, menu=MENU, last_choice=MENU.choose({"size": "large"}))
    user = type(STOPPED)(name="ada", escaped_name="ada", json_escaped_name="ada")
    variables = {"default_server": server, "user": user, "base_url": "/hub/", "xsrf_token": "a|b=="}
    html = PAGES.get_template("home.html").render(**variables, static_url=lambda name, **_: name)
    assert 'action="/hub/spawn/ada?_xsrf=a%7Cb%3D%3D"' in html
    assert '<input type="hidden" name="size" value="large">' in html
    assert "Start with clean settings" in html
    server.active = True
    html = PAGES.get_template("home.html").render(**variables, static_url=lambda name, **_: name)
    assert "Start with clean settings" not in html
