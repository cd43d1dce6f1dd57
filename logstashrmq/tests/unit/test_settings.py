"""Tests of the relay's settings, and of the error messages for missing and invalid settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from beatsrelay.routing import Route
from beatsrelay.settings import SettingsError, load_settings
from beatsrelay.settings.model import list_setting_names

from logstashrmq.tests.harness import PLAIN


def test_empty_settings_have_their_defaults() -> None:
    settings = load_settings(PLAIN | {"AMQP_PORT": "", "AMQP_ROUTING_KEY": ""})
    assert (settings.amqp_port, settings.beats_port, settings.metrics_port) == (5671, 5044, 9400)
    assert (settings.routing_key.constant_key, settings.declare, settings.unroutable) == ("logs", False, "retry")


@pytest.mark.parametrize("name", ["AMQP_HOST", "AMQP_USER", "AMQP_PASSWORD", "AMQP_EXCHANGE"])
def test_message_names_a_missing_setting(name: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{name}: missing, wanted [^\n]+$"):
        load_settings({key: value for key, value in PLAIN.items() if key != name})


@pytest.mark.parametrize("name", ["BEATS_TLS_CERT_FILE", "BEATS_TLS_KEY_FILE", "BEATS_TLS_CA_FILE"])
def test_tls_is_the_default_and_needs_its_files(name: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    files = {f"BEATS_TLS_{part}_FILE": str(file) for part in ("CERT", "KEY", "CA")}
    environ = {key: value for key, value in (PLAIN | files).items() if key not in {"BEATS_TLS", name}}
    with pytest.raises(SettingsError, match=rf"^{name}: missing, wanted"):
        load_settings(environ)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AMQP_HOST", "amqp://rabbit:5672"),
        ("AMQP_HOST", " , "),
        ("AMQP_PORT", "amqps"),
        ("AMQP_PORT", "0"),
        ("AMQP_TLS", "perhaps"),
        ("AMQP_TLS_CA_FILE", "/no/such/file"),
        ("AMQP_ROUTING_KEY", "%{namespace}"),
        ("AMQP_DEAD_LETTER", "queue"),
        ("AMQP_DEAD_LETTER", "exchange/"),
        ("AMQP_UNROUTABLE", "drop"),
        ("AMQP_HEARTBEAT_SECONDS", "0"),
        ("AMQP_QUEUE_TYPE", "lazy"),
        ("BEATS_PORT", "65536"),
        ("BEATS_TLS_VERIFY", "maybe"),
        ("BEATS_MAX_WINDOW", "0"),
        ("BEATS_STALL_SECONDS", "-1"),
        ("BEATS_STALL_SECONDS", "nan"),
        ("RELAY_FIELDS", "[]"),
        ("RELAY_FIELDS", "{"),
        ("RELAY_FIELDS", '{"a":1e400}'),
        ("RELAY_EVENT_CHECK", "no"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_message_names_an_invalid_setting_and_its_value(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(PLAIN | {name: value})
    message = str(caught.value)
    assert message.startswith(f"{name}: found {value!r}, wanted ")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"AMQP_UNROUTABLE": "dead-letter"}, "AMQP_DEAD_LETTER: missing"),
        ({"AMQP_QUEUE": "logs"}, "AMQP_QUEUE: found 'logs', wanted no queue unless AMQP_DECLARE is true"),
        ({"BEATS_MAX_EVENT_BYTES": "99999999"}, "BEATS_MAX_EVENT_BYTES: found '99999999', wanted at most"),
        ({"BEATS_MAX_EVENT_BYTES": "70000", "BEATS_MAX_FRAME_BYTES": "60000"}, "BEATS_MAX_FRAME_BYTES: found '60000'"),
    ],
)
def test_contradicting_settings_are_refused(environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(PLAIN | environ)
    assert str(caught.value).startswith(message)


def test_secret_is_read_from_a_file_and_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("very-secret\n")
    environ = {key: value for key, value in PLAIN.items() if key != "AMQP_PASSWORD"}
    environ |= {"AMQP_PASSWORD_FILE": str(file)}
    settings = load_settings(environ)
    assert settings.amqp_password.get_secret_value() == "very-secret"
    assert "very-secret" not in repr(settings)
    with pytest.raises(SettingsError, match=r"^AMQP_PASSWORD and AMQP_PASSWORD_FILE are both set"):
        load_settings(environ | {"AMQP_PASSWORD": "another"})
    file.unlink()
    with pytest.raises(SettingsError, match=r"^AMQP_PASSWORD_FILE: cannot read .*: No such file or directory$"):
        load_settings(environ)


def test_environment_has_precedence_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "settings"
    file.write_text("# settings of the site\n\nAMQP_EXCHANGE = from the file\nAMQP_DEAD_LETTER=/dead\n")
    settings = load_settings(PLAIN | {"RELAY_SETTINGS_FILE": str(file)})
    assert (settings.exchange, settings.dead_letter) == (PLAIN["AMQP_EXCHANGE"], Route("", "dead"))
    file.write_text("AMQP_EXCHANGES=x\n")
    with pytest.raises(SettingsError, match=r"^RELAY_SETTINGS_FILE: found 'AMQP_EXCHANGES' in line 1 of"):
        load_settings(PLAIN | {"RELAY_SETTINGS_FILE": str(file)})
    with pytest.raises(SettingsError, match=r"^RELAY_SETTINGS_FILE: cannot read"):
        load_settings(PLAIN | {"RELAY_SETTINGS_FILE": "/no/such/file"})


def test_every_setting_is_in_the_administrators_page() -> None:
    page = (Path(__file__).parents[3] / "docs" / "admin" / "settings.md").read_text()
    assert [name for name in list_setting_names() if f"`{name}`" not in page] == []
