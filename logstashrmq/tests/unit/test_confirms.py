"""Tests of publisher confirms: each message counts as answered exactly once, for each order of the broker's answers."""

from __future__ import annotations

from beatsrelay.amqp.confirms import Messages, UnconfirmedMessages
from beatsrelay.amqp.messages import Batch, PendingConfirmation
from beatsrelay.routing import Route
from hypothesis import given
from hypothesis import strategies as st

Answers = st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=60)
Message = tuple[int, int]


def create_batch(count: int) -> Batch:
    """Return a batch of `count` messages."""
    return Batch(PendingConfirmation(count, lambda: None), Route("x", "k"), [b"xx"] * count, range(count))


def identify(messages: Messages) -> set[Message]:
    """Return a pair for each message: `id()` of its batch, and its index in the batch."""
    return {(id(published.batch), index) for published, indices in messages for index in indices}


@given(st.lists(st.integers(1, 7), max_size=8), Answers)
def test_each_message_is_answered_once_in_any_order(sizes: list[int], answers: list[tuple[int, bool]]) -> None:
    unconfirmed = UnconfirmedMessages()
    published = [unconfirmed.add(create_batch(size)) for size in sizes]
    messages = {(id(each.batch), i) for each in published for i in range(len(each.batch))}
    tags = {each.first_tag + i: (id(each.batch), i) for each in published for i in range(len(each.batch))}
    answered: set[Message] = set()
    for tag, multiple in answers:
        removed = identify(unconfirmed.remove(tag, multiple=multiple))
        last_tag = max(tags, default=0) if multiple and tag == 0 else tag
        if last_tag in tags:
            expected = {message for t, message in tags.items() if t <= last_tag} if multiple else {tags[last_tag]}
            assert removed == expected - answered
        else:
            assert not removed
        answered |= removed
        assert len(unconfirmed) == len(messages) - len(answered)
        assert identify(unconfirmed.list_all()) == messages - answered
