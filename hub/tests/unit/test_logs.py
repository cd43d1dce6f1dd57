"""Tests of the format of log lines, and of the removal of secrets from log lines."""

from __future__ import annotations

import json
import logging
from urllib.parse import quote

import pytest
from labhub.telemetry.logs import HubFormatter, remove_secrets
from labtesting.logevents import assert_log_events


def line(message: str, **extra: object) -> dict[str, object]:
    record = logging.getLogger("a.logger").makeRecord("a.logger", logging.INFO, "f", 1, message, (), None, extra=extra)
    text = HubFormatter("ignored", None, "%").format(record)
    assert "\n" not in text
    event: dict[str, object] = json.loads(text)
    return event


def test_log_line_is_a_json_object_with_added_fields() -> None:
    event = line("two\nlines", admin=True, **{"event.action": "login"})
    assert event.pop("@timestamp")
    assert event == {
        "log.level": "info",
        "log.logger": "a.logger",
        "message": "two\nlines",
        "service.name": "hub",
        "event.dataset": "hub.log",
        "event.action": "login",
        "hub.admin": True,
    }


def test_exception_is_logged_in_one_line() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        exc_info = (type(error), error, error.__traceback__)
    record = logging.makeLogRecord({"name": "x", "levelname": "ERROR", "msg": "it failed", "exc_info": exc_info})
    [event] = assert_log_events([HubFormatter().format(record)])
    assert "ValueError: two\nlines" in event["error.stack_trace"]


URL = "/hub/oauth_callback?code=s3cr3t&state=s3cr3t"


@pytest.mark.parametrize(
    "text",
    [
        f"403 GET {URL} (127.0.0.1): why",
        f"HTTPServerRequest(uri='{URL}', method='GET')",
        json.dumps({"Referer": f"http://127.0.0.1{URL}"}),
        json.dumps(json.dumps({"Referer": f"http://127.0.0.1{URL}", "Host": "x"}, indent=2)),
        f"302 GET /hub/login?next={quote(URL, safe='')}",
        f"302 GET /hub/login?next={quote(quote(URL, safe=''), safe='')}",
        "?access_token=s3cr3t",
        "Setting new xsrf cookie for b's3cr3t:s3cr3t' {'path': '/hub/'}",
        "OAuth state mismatch: s3cr3t != s3cr3t",
        "Failed to json-decode state: s3cr3t",
    ],
)
def test_secrets_of_oauth_urls_are_removed(text: str) -> None:
    assert "s3cr3t" not in remove_secrets(text)


def test_text_around_a_secret_is_kept() -> None:
    assert remove_secrets("?code=s3cr3t&next=/x (ada@::1)") == "?code=[secret]&next=/x (ada@::1)"
    assert remove_secrets("spawn of ada, state running") == "spawn of ada, state running"
