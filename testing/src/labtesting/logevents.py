"""Log lines and events, held against the contract `testing/contracts/log-event.json`."""

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
    """Give an event's fields by their names with dots: `{"log": {"level": "info"}}` as `{"log.level": "info"}`."""
    flat: dict[str, Any] = {}
    for name, value in event.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{above}{name}.")
        else:
            flat[above + name] = value
    return flat


def find_violations(fields: Mapping[str, Any], contract: Draft202012Validator) -> list[str]:
    """List what the contract has against an event, flattened."""
    found = [
        f"{'.'.join(map(str, error.path)) or 'the event'}: {error.message}" for error in contract.iter_errors(fields)
    ]
    own = {name for name in fields if name.split(".")[0] in SERVICES}
    service = fields.get("service.name")
    found += [f"{name}: found in an event of {service}" for name in sorted(own) if name.split(".")[0] != service]
    return found


def assert_log_events(lines: Iterable[str]) -> list[dict[str, Any]]:
    """Hold what a component printed against the contract; give its lines, flattened.

    Raises
    ------
    AssertionError
        A line is no JSON object, or not of the contract; with the line.
    """
    found = []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        assert isinstance(event, dict), f"no JSON object: {line}"
        flat = flatten(event)
        assert not (wrong := find_violations(flat, LINE)), f"{'; '.join(wrong)}: {line}"
        found.append(flat)
    return found


def assert_shipped_events(bodies: Iterable[bytes]) -> list[dict[str, Any]]:
    """Hold what arrived at RabbitMQ against the contract, as a consumer would; give the events, flattened.

    Raises
    ------
    AssertionError
        An event is not of the contract.
    """
    found = []
    for body in bodies:
        flat = flatten(json.loads(body))
        # Programs that are not ours call their fields as they like; where and whose it was is said all the same.
        wrong = find_violations(flat, EVENT)
        assert not wrong, f"{'; '.join(wrong)}: {body.decode()}"
        found.append(flat)
    return found
