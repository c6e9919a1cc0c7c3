"""`AsyncBump`: the API for programs that run on asyncio."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from types import TracebackType
from typing import Self, TypeVar, Unpack

import httpx2

from bump_client import calls
from bump_client.answer_stream import AsyncAnswerStream
from bump_client.attempts import Attempts
from bump_client.batches import Batch, batches
from bump_client.buffer import AsyncBuffer
from bump_client.calls import Call, Request
from bump_client.errors import BumpError, Failure, Reply, problem_error, transport_errors
from bump_client.http_options import (
    DEADLINE_SECONDS,
    DEFAULT_ADDRESS,
    client_options,
    send_options,
)
from bump_client.models import (
    Answer,
    AnswerOptions,
    Diff,
    IngestResult,
    Interaction,
    Message,
    Profile,
    Prompt,
    PromptOptions,
    Receipt,
    Regeneration,
    StoredInteraction,
    Usage,
    merged,
)
from bump_client.pending import CAPACITY, FLUSH_ITEMS, FLUSH_SECONDS, Pending

Result = TypeVar("Result")


class AsyncBump:
    """`Bump` with `async` methods of the same names, arguments, results and errors.

    For one event loop. A cancelled call is given up at once; the API may see it through.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_ADDRESS,
        api_key: str | None = None,
        *,
        deadline: float = DEADLINE_SECONDS,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx2.AsyncClient(**client_options(base_url, api_key), transport=transport)
        self._deadline = deadline

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def add_interactions(self, interactions: Iterable[Interaction]) -> IngestResult:
        """As `Bump.add_interactions`."""
        return merged([await self._add(batch) for batch in batches(interactions)])

    def buffer(
        self,
        *,
        flush_items: int = FLUSH_ITEMS,
        flush_seconds: float = FLUSH_SECONDS,
        capacity: int = CAPACITY,
        on_failure: Callable[[Failure], None] | None = None,
    ) -> AsyncBuffer:
        """Sends what is added from a task of its own; see `AsyncBuffer`."""
        return AsyncBuffer(self._add, Pending(flush_items, flush_seconds, capacity, on_failure))

    async def profile(
        self,
        user_id: str,
        *,
        min_revision: int = 0,
        wait: float = 0,
        known: Profile | None = None,
    ) -> Profile | None:
        """As `Bump.profile`."""
        return await self._call(calls.profile(user_id, min_revision, wait, known))

    async def versions(self, user_id: str) -> AsyncIterator[Profile]:
        """As `Bump.versions`, for `async for`."""
        before = None
        while True:
            page = await self._call(calls.versions(user_id, before))
            for version in page.versions:
                yield version
            before = page.next_before
            if before is None:
                return

    async def version(self, user_id: str, number: int) -> Profile:
        """As `Bump.version`."""
        return await self._call(calls.version(user_id, number))

    async def diff(self, user_id: str, before: int, after: int) -> Diff:
        """As `Bump.diff`."""
        return await self._call(calls.diff(user_id, before, after))

    async def corrections(
        self, user_id: str, *, pinned: Sequence[str] = (), suppressed: Sequence[str] = ()
    ) -> Profile | None:
        """As `Bump.corrections`."""
        return await self._call(calls.corrections(user_id, pinned, suppressed))

    async def regenerate(self, user_id: str, *, wait: float = 0) -> Regeneration:
        """As `Bump.regenerate`."""
        return await self._call(calls.regenerate(user_id, wait))

    async def rollback(self, user_id: str, number: int) -> Profile:
        """As `Bump.rollback`."""
        return await self._call(calls.rollback(user_id, number))

    async def interactions(self, user_id: str) -> AsyncIterator[StoredInteraction]:
        """As `Bump.interactions`, for `async for`."""
        cursor = None
        while True:
            page = await self._call(calls.interactions(user_id, cursor))
            for interaction in page.interactions:
                yield interaction
            cursor = page.next_cursor
            if cursor is None:
                return

    async def personalize(
        self, user_id: str, asked: str | Sequence[Message], **options: Unpack[AnswerOptions]
    ) -> Answer:
        """As `Bump.personalize`."""
        return await self._call(calls.personalize(user_id, asked, options))

    @asynccontextmanager
    async def personalize_stream(
        self, user_id: str, asked: str | Sequence[Message], **options: Unpack[AnswerOptions]
    ) -> AsyncIterator[AsyncAnswerStream]:
        """As `Bump.personalize_stream`."""
        async with self._stream(calls.personalize_stream(user_id, asked, options)) as response:
            yield AsyncAnswerStream(response)

    async def personalize_prompt(
        self, user_id: str, asked: str | Sequence[Message], **options: Unpack[PromptOptions]
    ) -> Prompt:
        """As `Bump.personalize_prompt`."""
        return await self._call(calls.personalize_prompt(user_id, asked, options))

    @asynccontextmanager
    async def export(self, user_id: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """As `Bump.export`, the pieces for `async for`."""
        async with self._stream(calls.export(user_id)) as response:
            yield _pieces(response)

    async def pause(self, user_id: str) -> None:
        """As `Bump.pause`."""
        await self._call(calls.profiling(user_id, "paused"))

    async def resume(self, user_id: str) -> None:
        """As `Bump.resume`."""
        await self._call(calls.profiling(user_id, "on"))

    async def erase(self, user_id: str) -> Receipt:
        """As `Bump.erase`."""
        return await self._call(calls.erase(user_id))

    async def usage(self, user_id: str | None = None) -> Usage:
        """As `Bump.usage`."""
        return await self._call(calls.usage(user_id))

    async def _add(self, batch: Batch) -> IngestResult:
        return await self._call(calls.add_batch(batch))

    async def _call(self, call: Call[Result]) -> Result:
        async def attempt(attempts: Attempts) -> Result:
            return call.result(await self._whole(call.request, attempts))

        return await self._retried(call.request, attempt)

    @asynccontextmanager
    async def _stream(self, request: Request) -> AsyncIterator[httpx2.Response]:
        response = await self._retried(request, lambda attempts: self._begun(request, attempts))
        async with aclosing(response):
            yield response

    async def _retried(
        self, request: Request, attempt: Callable[[Attempts], Awaitable[Result]]
    ) -> Result:
        attempts = Attempts(request, self._deadline)
        while True:
            try:
                return await attempt(attempts)
            except BumpError as error:
                await asyncio.sleep(attempts.pause_after(error))

    async def _whole(self, request: Request, attempts: Attempts) -> Reply:
        with transport_errors():
            async with (
                asyncio.timeout(attempts.seconds_left),
                self._http.stream(**send_options(request, attempts)) as response,
            ):
                return Reply(response.status_code, response.headers, await response.aread())

    async def _begun(self, request: Request, attempts: Attempts) -> httpx2.Response:
        """A response that says success, and whose body is yet to be read."""
        with transport_errors():
            async with asyncio.timeout(attempts.seconds_left):
                sent = self._http.build_request(**send_options(request, attempts))
                response = await self._http.send(sent, stream=True)
                if response.is_success:
                    return response
                async with aclosing(response):
                    body = await response.aread()
        raise problem_error(Reply(response.status_code, response.headers, body))


async def _pieces(response: httpx2.Response) -> AsyncIterator[bytes]:
    with transport_errors():
        async for piece in response.aiter_bytes():
            yield piece
