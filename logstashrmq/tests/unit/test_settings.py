"""What the environment may say, and what is said of a mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from beatsrelay.routing import Route
from beatsrelay.settings.model import SettingsError, known, load

from logstashrmq.tests.harness import PLAIN


def test_what_is_not_set_has_a_default() -> None:
    settings = load(PLAIN | {"AMQP_PORT": "", "AMQP_ROUTING_KEY": ""})
    assert (settings.amqp_port, settings.beats_port, settings.metrics_port) == (5671, 5044, 9400)
    assert (settings.routing_key.fixed, settings.declare, settings.unroutable) == ("logs", False, "retry")


@pytest.mark.parametrize("name", ["AMQP_HOST", "AMQP_USER", "AMQP_PASSWORD", "AMQP_EXCHANGE"])
def test_a_missing_setting_is_named_with_what_is_wanted(name: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{name}: missing, wanted [^\n]+$"):
        load({key: value for key, value in PLAIN.items() if key != name})


@pytest.mark.parametrize("name", ["BEATS_TLS_CERT_FILE", "BEATS_TLS_KEY_FILE", "BEATS_TLS_CA_FILE"])
def test_tls_needs_its_files_and_is_on_unless_it_is_switched_off(name: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    files = {f"BEATS_TLS_{part}_FILE": str(file) for part in ("CERT", "KEY", "CA")}
    given = {key: value for key, value in (PLAIN | files).items() if key not in {"BEATS_TLS", name}}
    with pytest.raises(SettingsError, match=rf"^{name}: missing, wanted"):
        load(given)


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
def test_a_wrong_setting_is_named_with_what_was_found(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(PLAIN | {name: value})
    message = str(caught.value)
    assert message.startswith(f"{name}: found {value!r}, wanted ")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"AMQP_UNROUTABLE": "dead-letter"}, "AMQP_DEAD_LETTER: missing"),
        ({"AMQP_QUEUE": "logs"}, "AMQP_QUEUE: found a queue, wanted none unless AMQP_DECLARE is true"),
        ({"BEATS_MAX_EVENT_BYTES": "99999999"}, "BEATS_MAX_EVENT_BYTES: found '99999999', wanted no more than"),
        ({"BEATS_MAX_EVENT_BYTES": "70000", "BEATS_MAX_FRAME_BYTES": "60000"}, "BEATS_MAX_FRAME_BYTES: found '60000'"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(PLAIN | given)
    assert str(caught.value).startswith(said)


def test_a_secret_comes_from_a_file_and_is_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("very-secret\n")
    given = {key: value for key, value in PLAIN.items() if key != "AMQP_PASSWORD"} | {"AMQP_PASSWORD_FILE": str(file)}
    settings = load(given)
    assert settings.amqp_password.get_secret_value() == "very-secret"
    assert "very-secret" not in repr(settings)
    with pytest.raises(SettingsError, match=r"^AMQP_PASSWORD and AMQP_PASSWORD_FILE are both set"):
        load(given | {"AMQP_PASSWORD": "another"})
    file.unlink()
    with pytest.raises(SettingsError, match=r"^AMQP_PASSWORD_FILE: cannot read .*: No such file or directory$"):
        load(given)


def test_a_file_of_settings_is_read_and_the_environment_goes_before_it(tmp_path: Path) -> None:
    file = tmp_path / "settings"
    file.write_text("# the site's\n\nAMQP_EXCHANGE = of the file\nAMQP_DEAD_LETTER=/dead\n")
    settings = load(PLAIN | {"RELAY_SETTINGS_FILE": str(file)})
    assert (settings.exchange, settings.dead_letter) == (PLAIN["AMQP_EXCHANGE"], Route("", "dead"))
    file.write_text("AMQP_EXCHANGES=x\n")
    with pytest.raises(SettingsError, match=r"^RELAY_SETTINGS_FILE: found 'AMQP_EXCHANGES' in line 1 of"):
        load(PLAIN | {"RELAY_SETTINGS_FILE": str(file)})
    with pytest.raises(SettingsError, match=r"^RELAY_SETTINGS_FILE: cannot read"):
        load(PLAIN | {"RELAY_SETTINGS_FILE": "/no/such/file"})


def test_every_setting_is_in_the_administrators_page() -> None:
    page = (Path(__file__).parents[3] / "docs" / "admin" / "forwarder.md").read_text()
    assert [name for name in known() if f"`{name}`" not in page] == []
