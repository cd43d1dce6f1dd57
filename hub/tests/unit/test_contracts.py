"""Tests that audit events and auth state have the format of the contracts in `testing/contracts`."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from jsonschema import Draft202012Validator, ValidationError
from labhub.models.announcement import Announcement
from labhub.models.auth_state import AuthState
from labhub.models.login_errors import LoginRefusal
from labhub.telemetry import audit
from labhub.telemetry.logs import HubFormatter
from labtesting.contracts import read_contract
from labtesting.logevents import assert_log_events

EVENTS = Draft202012Validator(read_contract("audit-event"))

WRITTEN: list[Callable[[], None]] = [
    lambda: audit.log_login("ada", 5150, admin=False),
    lambda: audit.log_login("ada", 5150, admin=True, dropped=("a-club",), renamed_from="eva"),
    lambda: audit.log_refresh("ada", 5150, "confirmed", 0),
    lambda: audit.log_refresh("ada", 5150, "kept:github_down", 12.6),
    lambda: audit.log_refresh("ada", 5150, "expired:signed_out", 90000),
    lambda: audit.log_revocation("ada", 5150, "not_a_member", ("", "second")),
    lambda: audit.log_logout("ada", 5150, token_revoked=True),
    lambda: audit.log_logout("ada", None, token_revoked=False),
    lambda: audit.log_reset("ada", 5150, "root", {"": "pending", "second": "ready"}),
    lambda: audit.log_announcement("root", Announcement("Maintenance at noon").to_dict()),
    lambda: audit.log_announcement(
        "root", Announcement("Come back", "error", datetime(2030, 1, 1, tzinfo=UTC)).to_dict()
    ),
    lambda: audit.log_announcement_end("root", Announcement("Down", "warning", None, "stopped").to_dict()),
    lambda: audit.log_refusal(None, None, LoginRefusal.GITHUB_DOWN.code),
    *(lambda reason=reason: audit.log_refusal("ada", 5150, reason.code) for reason in LoginRefusal),
]


@pytest.fixture
def audit_log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.LogCaptureFixture]:
    """Capture only audit events.

    `propagate` is turned off, because other tests install a handler of JupyterHub, which would add fields to the
    events.
    """
    logger = logging.getLogger(audit.LOGGER)
    monkeypatch.setattr(logger, "propagate", False)
    logger.addHandler(caplog.handler)
    with caplog.at_level(logging.INFO, logger=audit.LOGGER):
        yield caplog
    logger.removeHandler(caplog.handler)


@pytest.mark.parametrize("write", WRITTEN)
def test_audit_event_follows_the_contract(write: Callable[[], None], audit_log: pytest.LogCaptureFixture) -> None:
    write()
    [record] = audit_log.records
    line = HubFormatter().format(record)
    EVENTS.validate(json.loads(line))
    assert_log_events([line])


def test_contract_refuses_unknown_fields() -> None:
    event = {
        "@timestamp": "2026-01-01T00:00:00Z",
        "log.level": "info",
        "log.logger": "labhub.audit",
        "message": "",
        "service.name": "hub",
        "event.dataset": "hub.audit",
        "event.action": "logout",
    }
    event |= {"user.name": "ada", "user.id": "5150", "hub.token_revoked": True}  # type: ignore[dict-item]
    EVENTS.validate(event)
    with pytest.raises(ValidationError):
        EVENTS.validate(event | {"access_token": "gho_x"})


def test_auth_state_follows_the_contract() -> None:
    contract = read_contract("auth-state")
    state = AuthState.from_dict(contract)
    assert state is not None
    assert state.to_dict() == contract


def test_auth_state_of_a_stock_hub_is_ignored() -> None:
    assert AuthState.from_dict({"access_token": "gho_x", "github_user": {"id": 5}}) is None
    assert AuthState.from_dict({}) is None
