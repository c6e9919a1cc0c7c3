"""Reads that share one connection, against servers that answer in their own way."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from redis.exceptions import ConnectionError, InvalidResponse

from service.cache.pipelined_reads import PipelinedReads

TIMEOUT_SECONDS = 0.5
NOTHING = b"*1\r\n$-1\r\n"
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def reads_from(answer: Answer) -> AsyncIterator[PipelinedReads]:
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        reads = PipelinedReads(f"redis://127.0.0.1:{port}", timeout=TIMEOUT_SECONDS)
        try:
            yield reads
        finally:
            reads.close()


async def test_what_was_not_asked_ends_the_connection_and_is_no_surprise(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"-ERR max number of clients reached\r\n")
        writer.close()

    with caplog.at_level(logging.ERROR, "asyncio"):
        async with reads_from(refuse) as reads:
            with pytest.raises((ConnectionError, InvalidResponse)):
                while True:  # the refusal comes before the question or after it
                    await reads.mget("a")
    assert not caplog.records


async def test_the_time_that_this_process_takes_is_not_the_servers() -> None:
    async def answer_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while asked := (await reader.read(65_536)).count(b"MGET"):
            await asyncio.sleep(TIMEOUT_SECONDS / 10)
            writer.write(NOTHING * asked)
        writer.close()

    async with reads_from(answer_slowly) as reads:
        await reads.mget("a")
        asked = asyncio.create_task(reads.mget("a"))
        # Other work of the tick in which it is asked.
        asyncio.get_running_loop().call_soon(time.sleep, 1.2 * TIMEOUT_SECONDS)
        assert await asked == [None]
