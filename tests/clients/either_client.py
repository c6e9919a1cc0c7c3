"""`Bump` and `AsyncBump` asked in the same words, so that one test holds for both."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from bump_client import AnswerStream, AsyncAnswerStream, AsyncBump, Bump


class OnThreads:
    """An object of the sync client. Its methods are awaited, and run on threads."""

    def __init__(self, wrapped: Any) -> None:
        self.wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.wrapped, name)

        async def on_a_thread(*positional: Any, **named: Any) -> Any:
            return await asyncio.to_thread(method, *positional, **named)

        return on_a_thread


EitherClient = OnThreads | AsyncBump


@asynccontextmanager
async def either_client(kind: str, *positional: Any, **named: Any) -> AsyncIterator[Any]:
    """A `sync` or an `async` client, closed in the end."""
    if kind == "sync":
        with Bump(*positional, **named) as client:
            yield OnThreads(client)
        return
    async with AsyncBump(*positional, **named) as client:
        yield client


async def listed(bump: EitherClient, method: str, user_id: str) -> list[Any]:
    """All that a method which reads page by page gives."""
    if isinstance(bump, AsyncBump):
        return [item async for item in getattr(bump, method)(user_id)]
    return await asyncio.to_thread(lambda: list(getattr(bump.wrapped, method)(user_id)))


async def exported(bump: EitherClient, user_id: str) -> bytes:
    if isinstance(bump, AsyncBump):
        async with bump.export(user_id) as pieces:
            return b"".join([piece async for piece in pieces])

    def read() -> bytes:
        with bump.wrapped.export(user_id) as pieces:
            return b"".join(pieces)

    return await asyncio.to_thread(read)


async def streamed(
    bump: EitherClient, user_id: str, asked: str, **options: Any
) -> tuple[list[str], AnswerStream | AsyncAnswerStream]:
    """The pieces of an answer, and what is known of it when it is over."""
    if isinstance(bump, AsyncBump):
        async with bump.personalize_stream(user_id, asked, **options) as answer:
            return [text async for text in answer], answer

    def read() -> tuple[list[str], AnswerStream]:
        with bump.wrapped.personalize_stream(user_id, asked, **options) as answer:
            return list(answer), answer

    return await asyncio.to_thread(read)


@asynccontextmanager
async def buffering(bump: EitherClient, **options: Any) -> AsyncIterator[Any]:
    """The block of a buffer: what it takes, and at its end what closing raises."""
    if isinstance(bump, AsyncBump):
        async with bump.buffer(**options) as buffer:
            yield buffer
        return
    buffer = bump.wrapped.buffer(**options)
    buffer.__enter__()
    try:
        yield OnThreads(buffer)
    finally:
        await asyncio.to_thread(buffer.close)


async def add_all(buffer: Any, interactions: Iterable[Any]) -> None:
    for interaction in interactions:
        await buffer.add(interaction)
