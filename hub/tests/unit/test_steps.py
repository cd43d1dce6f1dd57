"""What a coroutine commits between two waits is committed once, and nothing of it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from labhub._patches.steps import StepSession, in_steps, take
from sqlalchemy import Column, Engine, Integer, create_engine, event, select, text
from sqlalchemy.exc import IntegrityError, PendingRollbackError
from sqlalchemy.orm import DeclarativeBase

pytestmark = pytest.mark.asyncio


class Base(DeclarativeBase):
    """Of what is stored here."""


class Row(Base):
    """Something that is stored."""

    __tablename__ = "rows"
    number = Column(Integer, primary_key=True)


class Hub:
    """What has a database, and writes in steps."""

    def __init__(self, engine: Engine) -> None:
        self.db = StepSession(engine, expire_on_commit=False)
        self.commits = 0
        event.listen(engine, "commit", self._count)

    def _count(self, _connection: object) -> None:
        self.commits += 1

    def add(self, *numbers: int) -> None:
        """Store each and commit."""
        for number in numbers:
            self.db.add(Row(number=number))
            self.db.commit()

    @in_steps
    async def work(self, *, then: Callable[[], Awaitable[object]]) -> str:
        """Store something, wait, store something, wait again, end."""
        self.add(1, 2)
        await then()
        self.add(3, 4)
        await then()
        self.add(5, 6)
        return "done"

    @in_steps
    async def fail(self) -> None:
        """Store something, and fail; within it is another that works in steps."""
        self.add(10)
        try:
            raise ValueError("something else")
        except ValueError:
            await self.work(then=no_time)
            raise


async def no_time() -> None:
    """Give no one else a turn."""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Give a database."""
    made = create_engine(f"sqlite:///{tmp_path}/rows.sqlite")
    Base.metadata.create_all(made)
    yield made
    made.dispose()


def stored(engine: Engine) -> list[int]:
    """Read what somebody else finds in the database."""
    with engine.connect() as other:
        return list(other.scalars(select(Row.number).order_by(Row.number)))


async def test_each_step_is_one_commit_and_stands_before_anybody_is_waited_for(engine: Engine) -> None:
    hub, seen = Hub(engine), []

    async def look() -> None:
        await asyncio.sleep(0)
        seen.append(stored(engine))

    assert await hub.work(then=look) == "done"
    assert seen == [[1, 2], [1, 2, 3, 4]]
    assert stored(engine) == [1, 2, 3, 4, 5, 6]
    assert hub.commits == 3


async def test_others_commit_for_themselves_meanwhile(engine: Engine) -> None:
    hub = Hub(engine)

    async def other() -> None:
        hub.add(20 + hub.commits)
        hub.add(30 + hub.commits)

    async def let_another() -> None:
        await asyncio.create_task(other())

    await hub.work(then=let_another)
    assert hub.commits == 3 + 4


async def test_what_was_to_be_kept_is_kept_though_it_fails_later(engine: Engine) -> None:
    hub = Hub(engine)
    with pytest.raises(ValueError, match="something else"):
        await hub.fail()
    assert stored(engine) == [1, 2, 3, 4, 5, 6, 10]
    assert hub.commits == 1


async def test_a_commit_that_fails_is_an_error_where_it_waits(engine: Engine) -> None:
    hub = Hub(engine)
    with engine.begin() as other:
        other.execute(text("INSERT INTO rows VALUES (4)"))
    with pytest.raises(IntegrityError):
        await hub.work(then=lambda: asyncio.sleep(0))
    hub.db.rollback()
    assert stored(engine) == [1, 2, 4]
    hub.add(7)
    assert 7 in stored(engine)


@pytest.mark.filterwarnings("ignore:Session's state has been changed on a non-active transaction")
async def test_an_error_of_the_database_in_the_middle_of_a_step_is_not_passed_over(engine: Engine) -> None:
    hub = Hub(engine)
    with engine.begin() as other:
        other.execute(text("INSERT INTO rows VALUES (2)"))

    async def fail_and_go_on() -> None:
        hub.add(1)
        hub.db.add(Row(number=2))
        with suppress(IntegrityError):
            hub.db.flush()
        hub.add(3)

    with pytest.raises(PendingRollbackError):
        await take(fail_and_go_on(), hub.db)
    hub.db.rollback()
    assert stored(engine) == [2]


async def test_what_is_cancelled_ends_and_keeps_what_it_had_stored(engine: Engine) -> None:
    hub, waits = Hub(engine), asyncio.Event()

    async def wait() -> None:
        waits.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(hub.work(then=wait))
    await waits.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stored(engine) == [1, 2]
    hub.add(7)
    assert stored(engine) == [1, 2, 7]


@pytest.mark.parametrize("asks_for_nothing_new", [False, True])
async def test_only_the_first_step_may_leave_what_it_adds_unwritten_until_its_end(
    engine: Engine, asks_for_nothing_new: bool
) -> None:
    hub, seen = Hub(engine), []

    async def work() -> None:
        for number in (1, 2):
            hub.db.add(Row(number=number))
            seen.append(len(hub.db.scalars(select(Row)).all()))
            await asyncio.sleep(0)
        hub.db.commit()

    await take(work(), hub.db, asks_for_nothing_new=asks_for_nothing_new)
    assert seen == [0 if asks_for_nothing_new else 1, 2]
    assert hub.db.autoflush
