"""Tests of message ids, and of the counter of pending confirmations."""

from __future__ import annotations

from beatsrelay.amqp.messages import PendingConfirmation, format_message_id, parse_message_id


def test_message_id_contains_its_number() -> None:
    assert parse_message_id(format_message_id(2**40)) == 2**40
    assert [parse_message_id(text) for text in (None, "", "x", "00000000-1", "a-b-c")] == [None] * 5


def test_completion_is_reported_once_after_the_last_confirm() -> None:
    completed: list[str] = []
    pending = PendingConfirmation(3, lambda: completed.append("complete"))
    pending.confirm(2)
    assert completed == []
    pending.confirm(1)
    assert completed == ["complete"]
