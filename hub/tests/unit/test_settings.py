"""Tests of valid settings in the environment, and of the error messages for invalid settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from labhub.configuration import configure_spawner
from labhub.labs.home_provisioning import RETRY_SECONDS
from labhub.models.access_rules import Rule
from labhub.settings.environment import SettingsError, load
from labhub.settings.labs import LabSettings
from labhub.settings.login import LoginSettings
from traitlets.config import Config

COMPLETE = {
    "JUPYTERHUB_CRYPT_KEY": "ab" * 32,
    "GITHUB_CLIENT_ID": "an-id",
    "GITHUB_CLIENT_SECRET": "very-secret",
    "OAUTH_CALLBACK_URL": "https://lab.example/hub/oauth_callback",
    "GITHUB_ORGANIZATION_WHITELIST": "LSST, ,rubin:Pilots,lsst,",
}

TOKENS = {"CONFIGPROXY_AUTH_TOKEN": "made-up", "FILESERVER_TOKEN": "made-up-for-this-test"}


def test_allowed_list_is_normalized() -> None:
    assert load(COMPLETE, LoginSettings).allowed == (Rule("lsst"), Rule("rubin", "pilots"))


def test_the_allowed_organizations_have_two_names() -> None:
    first, second = "GITHUB_ORGANIZATION_WHITELIST", "GITHUB_ALLOWED_ORGANIZATIONS"
    without = {name: value for name, value in COMPLETE.items() if name != first}
    assert load(without | {second: COMPLETE[first]}, LoginSettings) == load(COMPLETE, LoginSettings)
    assert load(COMPLETE | {second: ""}, LoginSettings) == load(COMPLETE, LoginSettings)
    with pytest.raises(SettingsError, match=f"^{first} and {second} are both set: wanted one of them$"):
        load(COMPLETE | {second: "lsst"}, LoginSettings)
    wanted = "wanted at least one organization or team whose members may log in"
    with pytest.raises(SettingsError, match=f"^{second}: found 'a:b:c', {wanted}"):
        load(without | {second: "a:b:c"}, LoginSettings)


def test_unset_settings_have_defaults() -> None:
    settings = load(COMPLETE | {"GITHUB_URL": "", "GITHUB_ADMINS": ""}, LoginSettings)
    assert settings.github_url == "https://github.com"
    assert (settings.refresh_seconds, settings.stale_seconds, settings.revoke_on_logout) == (300, 86400, True)
    assert settings.admins == ()


def test_administrators_are_ids_and_teams() -> None:
    assert load(COMPLETE | {"GITHUB_ADMINS": "5150, rubin:Admins"}, LoginSettings).admins == (
        5150,
        Rule("rubin", "admins"),
    )


@pytest.mark.parametrize("name", COMPLETE)
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_setting_is_named_with_what_is_wanted(name: str, value: str | None) -> None:
    environ = {key: text for key, text in COMPLETE.items() if key != name} | ({} if value is None else {name: value})
    with pytest.raises(SettingsError, match=rf"^{name}: missing, wanted [^\n]+$"):
        load(environ, LoginSettings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GITHUB_ORGANIZATION_WHITELIST", " , "),
        ("GITHUB_ORGANIZATION_WHITELIST", "lsst,a:b:c"),
        ("GITHUB_ADMINS", "ada"),
        ("GITHUB_ADMINS", "rubin"),
        ("GITHUB_URL", "http://github.example"),
        ("GITHUB_URL", "github.example"),
        ("GITHUB_URL", "https://someone@github.example"),
        ("OAUTH_CALLBACK_URL", "https://lab.example/hub/login"),
        ("OAUTH_CALLBACK_URL", "http://lab.example/hub/oauth_callback"),
        ("GITHUB_REFRESH_SECONDS", "0"),
        ("GITHUB_REFRESH_SECONDS", "often"),
        ("GITHUB_STALE_SECONDS", "-1"),
        ("GITHUB_TIMEOUT_SECONDS", "0"),
        ("GITHUB_REVOKE_ON_LOGOUT", "perhaps"),
        ("LAB_PASSWD", "/nonexistent/passwd"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_found(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(COMPLETE | {name: value}, LoginSettings)
    message = str(caught.value)
    assert message.startswith(f"{name}: found {value!r}, wanted ")
    assert "\n" not in message


@pytest.mark.parametrize("value", ["short", "zz" * 32, "ab" * 32 + ";x"])
def test_a_wrong_secret_is_not_quoted(value: str) -> None:
    with pytest.raises(SettingsError, match=rf"^JUPYTERHUB_CRYPT_KEY: found {len(value)} characters, wanted") as caught:
        load(COMPLETE | {"JUPYTERHUB_CRYPT_KEY": value}, LoginSettings)
    assert value not in str(caught.value)


@pytest.mark.parametrize("name", ["JUPYTERHUB_CRYPT_KEY", "GITHUB_CLIENT_SECRET"])
def test_a_secret_may_come_from_a_file(name: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(COMPLETE[name] + "\n")
    environ = {key: text for key, text in COMPLETE.items() if key != name}
    assert load(environ | {f"{name}_FILE": str(file)}, LoginSettings) == load(COMPLETE, LoginSettings)


def test_secret_with_two_sources_or_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="both set"):
        load(COMPLETE | {"GITHUB_CLIENT_SECRET_FILE": "/x"}, LoginSettings)
    environ = {key: text for key, text in COMPLETE.items() if key != "GITHUB_CLIENT_SECRET"}
    with pytest.raises(SettingsError, match="GITHUB_CLIENT_SECRET_FILE: cannot read"):
        load(environ | {"GITHUB_CLIENT_SECRET_FILE": str(tmp_path / "none")}, LoginSettings)


def test_settings_show_no_secret() -> None:
    shown = repr(load(COMPLETE, LoginSettings))
    assert "very-secret" not in shown
    assert COMPLETE["JUPYTERHUB_CRYPT_KEY"] not in shown


def test_older_keys_follow_a_semicolon() -> None:
    keys = load(COMPLETE | {"JUPYTERHUB_CRYPT_KEY": "ab" * 32 + ";" + "A" * 43 + "="}, LoginSettings).crypt_keys
    assert len(keys) == 2


def test_names_and_ids_of_the_image_are_read(tmp_path: Path) -> None:
    passwd, group = tmp_path / "passwd", tmp_path / "group"
    passwd.write_text("root:x:0:0:root:/root:/bin/sh\nlab:x:4242:4242::/:/bin/sh\n")
    group.write_text("root:x:0:\nstaff:x:50:\n")
    taken = load(COMPLETE | {"LAB_PASSWD": str(passwd), "LAB_GROUP": str(group)}, LoginSettings).reserved_names
    assert taken.ids == {0, 50, 4242}
    assert taken.users == {"root", "lab"}
    assert taken.groups == {"root", "staff"}


def test_each_setting_has_a_description() -> None:
    assert all(field.alias and field.description for field in LoginSettings.model_fields.values())


@pytest.mark.parametrize(
    "url",
    [
        "mysql+pymysql://hub:geheim@db.example/hub",
        "postgresql://hub:geheim@db.example/hub",
        "sqlite:///relative.sqlite",
        "postgresql+psycopg://db.example",
        # JupyterHub or SQLAlchemy would not recognize the passwords in these URLs, and would write them to the log.
        "postgresql+psycopg://hub:ge/heim@db.example/hub",
        "postgresql+psycopg://hub:12/heim@db.example/hub",
        "postgresql+psycopg://hub:ge@heim@db.example/hub",
        "postgresql+psycopg://hub:ge#heim@db.example/hub",
        "postgresql+psycopg://hub:ge?heim@db.example/hub",
        "postgresql+psycopg://hub@db.example/hub?password=geheim",
    ],
)
def test_unsupported_database_url_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^HUB_DATABASE_URL: found \d+ characters, wanted") as caught:
        load(TOKENS | {"HUB_DATABASE_URL": url}, LabSettings)
    assert "heim" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////srv/jupyterhub/jupyterhub.sqlite",
        "postgresql+psycopg://hub:ge%2Fh%40im@db.example:5432/hub?sslmode=verify-full",
        "postgresql+psycopg://db.example/hub",
    ],
)
def test_sqlite_and_postgresql_urls_are_accepted(url: str) -> None:
    settings = load(TOKENS | {"HUB_DATABASE_URL": url}, LabSettings)
    assert settings.database_url.get_secret_value() == url


def test_failed_spawns_do_not_end_the_hub() -> None:
    config = Config()
    configure_spawner(config, load(COMPLETE | TOKENS, LabSettings))
    # With a value above 0, for example 5 in Zero to JupyterHub, this number of consecutive failed spawns would end the
    # hub.
    assert config.LabSpawner.consecutive_failure_limit == 0


def test_jupyterhubs_timeout_is_longer_than_all_waits_of_a_start() -> None:
    config, settings = Config(), load(COMPLETE | TOKENS | {"LAB_UNSCHEDULABLE_SECONDS": "3600"}, LabSettings)
    configure_spawner(config, settings)
    waits = settings.unschedulable_seconds + settings.pull_seconds + settings.lab_seconds
    assert waits == 3600 + 900 + 120
    assert config.LabSpawner.start_timeout > waits + RETRY_SECONDS
    assert config.LabSpawner.unschedulable_seconds == 3600


def test_a_start_waits_ten_minutes_for_a_node() -> None:
    assert load(TOKENS, LabSettings).unschedulable_seconds == 600
