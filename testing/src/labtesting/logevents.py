"""Functions that check log lines and events against the contract `testing/contracts/log-event.json`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from jsonschema import Draft202012Validator

from labtesting.contracts import read_contract


def _validator(part: str) -> Draft202012Validator:
    contract = read_contract("log-event")
    return Draft202012Validator(
        {"$defs": contract["$defs"], "$ref": f"#/$defs/{part}"}, format_checker=Draft202012Validator.FORMAT_CHECKER
    )


LINE, EVENT = _validator("line"), _validator("event")
SERVICES = set(read_contract("log-event")["$defs"]["fields"]["properties"]["service.name"]["enum"])


def flatten(event: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return an event's fields by their dotted names: `{"log": {"level": "info"}}` as `{"log.level": "info"}`."""
    flat: dict[str, Any] = {}
    for name, value in event.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{above}{name}.")
        else:
            flat[above + name] = value
    return flat


def find_violations(fields: Mapping[str, Any], contract: Draft202012Validator) -> list[str]:
    """Return messages about a flattened event, one for each violation of the contract."""
    violations = [
        f"{'.'.join(map(str, error.path)) or 'the event'}: {error.message}" for error in contract.iter_errors(fields)
    ]
    own = {name for name in fields if name.split(".")[0] in SERVICES}
    service = fields.get("service.name")
    violations += [f"{name}: found in an event of {service}" for name in sorted(own) if name.split(".")[0] != service]
    return violations


def assert_log_events(lines: Iterable[str]) -> list[dict[str, Any]]:
    """Check the log lines of a component against the contract, and return the lines as flattened events.

    Raises
    ------
    AssertionError
        Raised if a line is not a JSON object, or violates the contract. The message has the line.
    """
    events = []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        assert isinstance(event, dict), f"not a JSON object: {line}"
        flat = flatten(event)
        assert not (violations := find_violations(flat, LINE)), f"{'; '.join(violations)}: {line}"
        events.append(flat)
    return events


def assert_shipped_events(bodies: Iterable[bytes]) -> list[dict[str, Any]]:
    """Check events from RabbitMQ against the contract, and return the flattened events.

    Raises
    ------
    AssertionError
        Raised if an event violates the contract.
    """
    events = []
    for body in bodies:
        flat = flatten(json.loads(body))
        # Third-party programs name their fields differently. So for their lines, only the fields that filebeat adds are
        # required.
        violations = find_violations(flat, EVENT)
        assert not violations, f"{'; '.join(violations)}: {body.decode()}"
        events.append(flat)
    return events
