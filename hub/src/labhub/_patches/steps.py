"""What a coroutine commits between two waits is committed once, as soon as it waits.

The start of a lab commits twenty times, most of them before it waits for anything, and each time SQLAlchemy looks
through all that has changed. Nobody else runs between two waits, and all of it is committed before anything outside is
done, a pod made for example. An error of the database undoes the whole step, and is told where the coroutine waits, or
ends.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator
from contextlib import nullcontext
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

from sqlalchemy.orm import Session

Given = ParamSpec("Given")
Result = TypeVar("Result")


class StepSession(Session):
    """A session whose commits wait for the end of the step that is being taken."""

    steps = 0
    """That are being taken, one within the other: when the start of a lab fails, the lab is stopped within it."""
    wanted = False
    """Something is to be committed at the end."""

    def commit(self) -> None:
        """Commit, now or at the end of the step; what has failed before is said now."""
        if self.steps and self.is_active:
            self.wanted = True
        else:
            super().commit()

    def end_step(self) -> None:
        """Commit, if that was wanted."""
        self.steps -= 1
        if not self.steps and self.wanted:
            self.wanted = False
            self.commit()


@types.coroutine
def take(
    coroutine: Coroutine[Any, Any, Result], session: StepSession, *, asks_for_nothing_new: bool = False
) -> Generator[Any, Any, Result]:
    """Run a coroutine step by step; a commit that fails is an error of what it waits for."""
    step: Callable[[], Any] = partial(coroutine.send, None)
    unseen = asks_for_nothing_new
    while True:
        session.steps += 1
        try:
            with session.no_autoflush if unseen else nullcontext():
                waits_for = step()
        except StopIteration as end:
            session.end_step()
            result: Result = end.value
            return result
        except BaseException:
            session.end_step()
            raise
        unseen = False
        try:
            session.end_step()
            given = yield waits_for
        except BaseException as error:
            step = partial(coroutine.throw, error)
        else:
            step = partial(coroutine.send, given)


def in_steps(
    function: Callable[Given, Coroutine[Any, Any, Result]], *, asks_for_nothing_new: bool = False
) -> Callable[Given, Coroutine[Any, Any, Result]]:
    """Have a method of something with a `db` run step by step.

    Parameters
    ----------
    function
        The method.
    asks_for_nothing_new
        No query of its first step is for what that step has added or changed, which then need not be written before
        each.
    """

    @wraps(function)
    async def run(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        session: Any = args[0]
        return await take(function(*args, **kwargs), session.db, asks_for_nothing_new=asks_for_nothing_new)

    return run
