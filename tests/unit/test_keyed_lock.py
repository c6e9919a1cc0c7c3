"""Locks by key: in the order of asking, and nobody who leaves takes a key along."""

import asyncio
from collections.abc import Callable, Iterable

import pytest

from service.db.keyed_lock import KeyedLock


class Room:
    """Who has been inside, in order; `leave` lets those inside go."""

    def __init__(self) -> None:
        self.entered: list[str] = []
        self.leave = asyncio.Event()
        self._lock = KeyedLock()

    def enter(
        self,
        name: str,
        keys: Iterable[str],
        wait_seconds: float = 60,
        then: Callable[[], object] = lambda: None,
    ) -> asyncio.Task[None]:
        """A task that enters and stays until all may leave; `then` is called on its way out."""

        async def stay() -> None:
            async with self._lock.hold(keys, wait_seconds=wait_seconds):
                self.entered.append(name)
                await self.leave.wait()
            then()

        return asyncio.create_task(stay())


async def settled() -> None:
    """Until every task has come as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_the_same_key_is_held_by_one_after_the_other_in_the_order_of_asking() -> None:
    room = Room()
    tasks = [room.enter(name, "k") for name in ("a", "b", "c")]
    await settled()
    assert room.entered == ["a"]
    room.leave.set()
    await asyncio.gather(*tasks)
    assert room.entered == ["a", "b", "c"]


async def test_different_keys_do_not_wait_for_each_other() -> None:
    room = Room()
    tasks = [room.enter("a", ["k", "l"]), room.enter("b", ["m"])]
    await settled()
    assert room.entered == ["a", "b"]
    room.leave.set()
    await asyncio.gather(*tasks)


async def test_who_gives_up_waiting_lets_the_next_one_in() -> None:
    room = Room()
    tasks = [room.enter(name, "k") for name in ("a", "b", "c")]
    await settled()
    tasks[1].cancel()
    room.leave.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert room.entered == ["a", "c"]


async def test_who_gives_up_at_the_moment_of_its_turn_lets_the_next_one_in() -> None:
    room = Room()
    first = room.enter("a", "k", then=lambda: second.cancel())
    second, third = room.enter("b", "k"), room.enter("c", "k")
    await settled()
    room.leave.set()
    await asyncio.gather(first, second, third, return_exceptions=True)
    assert room.entered == ["a", "c"]


async def test_who_waits_too_long_frees_what_it_held() -> None:
    room = Room()
    holder = room.enter("a", ["l"])
    late = room.enter("b", ["k", "l"], wait_seconds=0.01)
    with pytest.raises(TimeoutError):
        await late
    other = room.enter("c", ["k"])
    await settled()
    assert room.entered == ["a", "c"]
    room.leave.set()
    await asyncio.gather(holder, other)
