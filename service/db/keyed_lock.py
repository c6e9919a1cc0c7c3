"""Locks by key within one process, so that waiting for a busy row costs no connection."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Hashable, Iterable
from contextlib import asynccontextmanager


class KeyedLock:
    """One holder a key at a time, in the order of asking. Free keys take no memory and no time."""

    def __init__(self) -> None:
        # Who waits, by key; a key that is held and that nobody waits for has an empty queue.
        self._queues: dict[Hashable, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def hold(self, keys: Iterable[Hashable], *, wait_seconds: float) -> AsyncIterator[None]:
        """Hold all `keys`, taken in their order, which must be one for all or two may deadlock.

        Raises TimeoutError when they are not free within `wait_seconds`.
        """
        held: list[Hashable] = []
        try:
            async with asyncio.timeout(wait_seconds):
                for key in keys:
                    await self._take(key)
                    held.append(key)
            yield
        finally:
            for key in held:
                self._pass_on(key)

    async def _take(self, key: Hashable) -> None:
        queue = self._queues.get(key)
        if queue is None:
            self._queues[key] = deque()
            return
        turn = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # It was our turn, and we left at that very moment.
                self._pass_on(key)
            raise

    def _pass_on(self, key: Hashable) -> None:
        queue = self._queues[key]
        while queue:
            turn = queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._queues[key]
