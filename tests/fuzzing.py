"""Hypothesis for checks that await: it draws on a thread, they run in the loop of the test."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

Example = TypeVar("Example")


async def for_all(
    strategy: SearchStrategy[Example],
    check: Callable[[Example], Awaitable[object]],
    *,
    examples: int,
) -> None:
    """Run `check` on that many examples; the smallest that fails is the one that is shown.

    What must not be drawn is for the strategy to filter: `assume` does not reach the check.
    """
    loop = asyncio.get_running_loop()

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def run(example: Example) -> None:
        asyncio.run_coroutine_threadsafe(_awaited(check(example)), loop).result()

    await asyncio.to_thread(run)


async def _awaited(work: Awaitable[object]) -> None:
    await work
