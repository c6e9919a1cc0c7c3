"""Buffers: many small additions, few requests, and nothing lost without a word."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Self

from bump_client.batches import Batch
from bump_client.models import IngestResult, Interaction
from bump_client.pending import Pending


class Buffer:
    """Collects interactions; sends when `flush_items` wait, or the first one for `flush_seconds`.

    Each interaction that `add` took is stored, or given to `on_failure`, or, without one, raised
    by `close`. `on_failure` is called by the thread that sends, one call at a time, and must not
    use the buffer. At most `capacity` interactions are held, failures included; who adds waits for
    room.
    """

    def __init__(self, send: Callable[[Batch], IngestResult], pending: Pending) -> None:
        self._send = send
        self._pending = pending
        self._changed = threading.Condition()
        # A daemon: a program that ends without closing the buffer must not hang for ever.
        self._thread = threading.Thread(target=self._run, name="bump-buffer", daemon=True)

    def __enter__(self) -> Self:
        self._pending.accepting = True
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def add(self, interaction: Interaction) -> None:
        """Take it; waits while the buffer is full. Any thread may add.

        Raises RuntimeError before and after the `with` block, Undelivered when the buffer is full
        of what could not be stored: then this interaction was not taken.
        """
        with self._changed:
            while not self._pending.has_room():
                self._changed.wait()
            self._pending.add(interaction, monotonic())
            self._changed.notify_all()

    def flush(self) -> None:
        """Send what waits now, and wait until each of it is stored or has failed.

        Raises Undelivered for what nobody was told of so far.
        """
        with self._changed:
            count = self._pending.hurry()
            self._changed.notify_all()
            while not self._pending.is_settled(count):
                self._changed.wait()
            # Failures that leave make room, for which others may wait.
            self._changed.notify_all()
            self._pending.raise_failures()

    def close(self) -> None:
        """Send what waits, as long as that works. Raises Undelivered for what is not stored."""
        with self._changed:
            self._pending.accepting = False
            self._changed.notify_all()
        self._thread.join()
        self._pending.raise_failures()

    def _run(self) -> None:
        try:
            while batch := self._next():
                outcome = self._outcome(batch)
                with self._changed:
                    self._pending.settle(outcome)
                    self._changed.notify_all()
        except Exception as error:
            with self._changed:
                self._pending.abandon(error)
                self._changed.notify_all()

    def _next(self) -> Batch | None:
        with self._changed:
            while (seconds := self._pending.seconds_until_due(monotonic())) != 0:
                self._changed.wait(seconds)
            return self._pending.take()

    def _outcome(self, batch: Batch) -> IngestResult | Exception:
        try:
            return self._send(batch)
        except Exception as error:  # whatever it is: the others still go
            return error


class AsyncBuffer:
    """`Buffer` with `await buffer.add(…)`, for tasks of one event loop.

    `on_failure` is called on the loop. Who is cancelled while closing gives up what is not stored.
    """

    def __init__(self, send: Callable[[Batch], Awaitable[IngestResult]], pending: Pending) -> None:
        self._send = send
        self._pending = pending
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._pending.accepting = True
        self._task = asyncio.create_task(self._run(), name="bump-buffer")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def add(self, interaction: Interaction) -> None:
        """As `Buffer.add`."""
        async with self._changed:
            while not self._pending.has_room():
                await self._changed.wait()
            self._pending.add(interaction, monotonic())
            self._changed.notify_all()

    async def flush(self) -> None:
        """As `Buffer.flush`."""
        async with self._changed:
            count = self._pending.hurry()
            self._changed.notify_all()
            while not self._pending.is_settled(count):
                await self._changed.wait()
            self._changed.notify_all()
            self._pending.raise_failures()

    async def close(self) -> None:
        """As `Buffer.close`."""
        try:
            async with self._changed:
                self._pending.accepting = False
                self._changed.notify_all()
            await asyncio.wait({self._task})
        finally:
            self._task.cancel()
        self._pending.raise_failures()

    async def _run(self) -> None:
        try:
            while batch := await self._next():
                outcome = await self._outcome(batch)
                async with self._changed:
                    self._pending.settle(outcome)
                    self._changed.notify_all()
        except (Exception, asyncio.CancelledError) as error:
            # The end of this task either way: it is nobody else's, so nobody misses the error.
            async with self._changed:
                self._pending.abandon(error)
                self._changed.notify_all()

    async def _next(self) -> Batch | None:
        async with self._changed:
            while (seconds := self._pending.seconds_until_due(monotonic())) != 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await self._changed.wait()
            return self._pending.take()

    async def _outcome(self, batch: Batch) -> IngestResult | Exception:
        try:
            return await self._send(batch)
        except Exception as error:  # whatever it is: the others still go
            return error
