"""Confirms, debts, frames: what stands between a batch and its acknowledgement, without a broker."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

import pytest
from beatsrelay.amqp import frames as wire
from beatsrelay.backpressure import Budget
from beatsrelay.amqp.confirms import Confirms
from beatsrelay.beats.ack_tracker import Ledger, Portion
from beatsrelay.amqp.messages import Batch, Debt, message_id, number_of
from beatsrelay.metrics import Metrics
from beatsrelay.routing import Route
from hypothesis import given
from hypothesis import strategies as st
from pika import BasicProperties
from pika.frame import Body, Header, Method
from pika.spec import Basic


def batch(count: int, size: int = 2) -> Batch:
    """Make a batch."""
    return Batch(Debt(count, 0, lambda _: None), Route("x", "k"), [b"x" * size] * count, range(count))


Answers = st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=60)


@given(st.lists(st.integers(1, 7), max_size=8), Answers)
def test_each_message_is_settled_once_in_whatever_order_the_broker_answers(
    sizes: list[int], answers: list[tuple[int, bool]]
) -> None:
    confirms = Confirms()
    batches = [batch(size) for size in sizes]
    for each in batches:
        confirms.add(each)
    everything = {(id(each), i) for each in batches for i in range(len(each))}
    tags = {each.first + i: (id(each), i) for each in batches for i in range(len(each))}
    settled: set[tuple[int, int]] = set()
    for tag, multiple in answers:
        now = {(id(each), i) for each, indices in confirms.settle(tag, multiple=multiple) for i in indices}
        reach = max(tags, default=0) if multiple and tag == 0 else tag
        if reach in tags:
            meant = {message for t, message in tags.items() if t <= reach} if multiple else {tags[reach]}
            assert now == meant - settled
        else:
            assert not now
        settled |= now
        assert len(confirms) == len(everything) - len(settled)
        assert {(id(each), i) for each, indices in confirms.open() for i in indices} == everything - settled


@pytest.mark.parametrize("size", [0, 1, 599, 131_064, 131_065, 400_000])
@pytest.mark.parametrize("key", ["logs", "", "ü" * 100])
def test_the_fast_way_writes_what_pika_would_write(size: int, key: str) -> None:
    sent = Batch(Debt(3, 0, lambda _: None), Route("x", key), [b"a" * size, b"{}", b"b" * size], range(7, 10))
    expected = b""
    body_max = 131_072 - 8
    for body, number in zip(sent.bodies, sent.numbers, strict=True):
        told = BasicProperties("application/json", delivery_mode=2, message_id=message_id(number))
        expected += Method(1, Basic.Publish(0, "x", key, True)).marshal()
        expected += Header(1, len(body), told).marshal()
        expected += b"".join(Body(1, body[i : i + body_max]).marshal() for i in range(0, len(body), body_max))
    assert b"".join(wire.blocks(sent, 1, body_max)) == expected


def test_the_fast_way_is_meant_for_the_pika_that_is_installed() -> None:
    import pika

    assert pika.__version__ == wire.TESTED


def test_a_message_id_leads_back_to_its_number() -> None:
    assert number_of(message_id(2**40)) == 2**40
    assert [number_of(text) for text in (None, "", "x", "00000000-1", "a-b-c")] == [None] * 5


class Said:
    """A ledger whose acknowledgements are noted."""

    def __init__(self) -> None:
        self.acks: list[int] = []
        self.ledger = Ledger(self.acks.append, lambda _: None)

    def owe(self, sequence: int, *, last: bool) -> Portion:
        """Add a portion."""
        portion = Portion(sequence, last)
        self.ledger.add(portion)
        return portion


@pytest.mark.asyncio
async def test_windows_are_acknowledged_whole_and_in_order() -> None:
    said = Said()
    first, second, third = (
        said.owe(3, last=False),
        said.owe(5, last=True),
        said.owe(2, last=True),
    )
    said.ledger.settle(third)
    said.ledger.settle(second)
    assert said.acks == []
    said.ledger.settle(first)
    assert said.acks == [5, 2]


@pytest.mark.asyncio
async def test_a_keep_alive_tells_how_far_the_first_window_is_and_nothing_of_the_next() -> None:
    said = Said()
    first, second, third = (
        said.owe(3, last=False),
        said.owe(5, last=True),
        said.owe(2, last=False),
    )
    assert said.ledger.keep_alive(0)
    said.ledger.settle(first)
    said.ledger.settle(third)
    assert said.ledger.keep_alive(0)
    said.ledger.settle(second)
    assert said.acks == [0, 3, 5]
    assert said.ledger.keep_alive(0), "the next window is the first one now"
    assert said.acks[-1] == 2
    assert not said.ledger.keep_alive(60), "it was said just now"


@pytest.mark.asyncio
async def test_a_third_window_waits_until_one_is_done() -> None:
    said = Said()
    first = said.owe(1, last=True)
    assert not said.ledger.full
    said.owe(1, last=True)
    waiting = asyncio.ensure_future(said.ledger.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    said.ledger.settle(first)
    await asyncio.wait_for(waiting, 1)


@pytest.mark.asyncio
async def test_who_waits_for_room_is_kept_alive_though_nothing_is_owed_yet() -> None:
    said = Said()
    assert not said.ledger.keep_alive(0), "it has sent nothing"
    with said.ledger.waiting():
        assert said.ledger.keep_alive(0)
    assert said.acks == [0]
    assert not said.ledger.keep_alive(0)


def test_a_window_whose_parts_wait_one_after_the_other_is_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    said = Said()
    before: Portion | None = None
    for number in range(1, 11):
        with said.ledger.waiting():
            if before:
                said.ledger.settle(before)
            clock.now += 2
            said.ledger.keep_alive(5)
        before = Portion(number, last=False, began=said.ledger.asked)
        said.ledger.add(before)
    assert said.acks == [2, 5, 8]


class Taker:
    """Takes of a budget, one after the other; `order` tells who had a turn."""

    def __init__(self, events: int, size: int) -> None:
        self.budget = Budget(events, size, Metrics())
        self.order: list[int] = []

    async def take(self, number: int, events: int = 1, size: int = 1) -> None:
        """Wait for room, and take some."""
        await self.budget.room()
        self.budget.take(events, size)
        self.order.append(number)

    def wait(self, number: int, events: int = 1, size: int = 1) -> asyncio.Task[None]:
        """Go in line."""
        return asyncio.ensure_future(self.take(number, events, size))


async def turns() -> None:
    """Let all others do what they can."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_the_budget_is_given_out_in_turn() -> None:
    taker = Taker(10, 1000)
    await taker.take(0, 8, 100)
    await taker.take(1, 8, 100)  # while there is something left, all of it is given
    waiting = [taker.wait(number) for number in (2, 3, 4)]
    await turns()
    waiting[1].cancel()
    await turns()
    assert taker.order == [0, 1]
    taker.budget.give_back(8, 100)
    await asyncio.gather(waiting[0], waiting[2])
    assert taker.order == [0, 1, 2, 4]


@pytest.mark.asyncio
@pytest.mark.parametrize(("events", "size"), [(5, 1), (1, 5)])
async def test_the_budget_is_overdrawn_once_and_nobody_goes_before_who_waits(events: int, size: int) -> None:
    taker = Taker(5, 5)
    await taker.take(0, events, size)
    waiting = [taker.wait(number, events, size) for number in (1, 2)]
    await turns()
    taker.budget.give_back(1, 1)
    waiting.append(taker.wait(3, events, size))
    await turns()
    assert taker.order == [0, 1], "there is no room for the next one, and none for who came now"
    for _ in range(3):
        taker.budget.give_back(events, size)
        await turns()
    await asyncio.wait_for(asyncio.gather(*waiting), 1)
    assert taker.order == [0, 1, 2, 3]


@pytest.mark.asyncio
async def test_who_gives_up_just_as_its_turn_comes_leaves_it_to_the_next() -> None:
    taker = Taker(1, 1)
    await taker.take(0)
    first, second = taker.wait(1), taker.wait(2)
    await turns()
    taker.budget.give_back(1, 1)
    first.cancel()
    await asyncio.wait_for(second, 1)
    assert taker.order == [0, 2]
