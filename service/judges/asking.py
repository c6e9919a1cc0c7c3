"""What judges behind an endpoint share: one round of questions, bounded in every way."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from service.bump.judge import JudgeFailed
from service.errors import DownstreamFailed, DownstreamTimedOut

_AT_ONCE = 64
_ATTEMPTS = 3

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class UnusableAnswer(Exception):
    """The model answered, but not what was asked."""


class Round:
    """So many questions under way at once, also over concurrent rounds of the same judge.

    The server batches what is under way; what waits here does not run into its own deadline.
    """

    def __init__(self, judge: str) -> None:
        self._judge = judge
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def answers(
        self, answer: Callable[[Asked], Awaitable[Answer]], questions: Sequence[Asked]
    ) -> list[Answer]:
        """The answers in the order of `questions`. The first failure ends the round.

        Raises JudgeFailed where there is no answer after three attempts, and what else `answer`
        raises.
        """
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._tried(answer, asked)) for asked in questions]
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _tried(self, answer: Callable[[Asked], Awaitable[Answer]], question: Asked) -> Answer:
        async with self._free:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    return await answer(question)
                except (UnusableAnswer, DownstreamFailed, DownstreamTimedOut) as error:
                    if attempt == _ATTEMPTS:
                        raise JudgeFailed(
                            f"The {self._judge} judge has no answer after {_ATTEMPTS} attempts: "
                            f"{error}"
                        ) from error
        raise AssertionError("the last attempt returns or raises")
