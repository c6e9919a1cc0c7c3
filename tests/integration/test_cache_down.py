"""Without its cache Bump answers from Postgres, and a broken one is not asked again and again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from service.cache import Entry, Hit, NoHit, ProfileCache, open_cache
from service.errors import Unavailable
from service.flows.read_profile import ProfileReader
from service.runtime import Runtime
from tests.conftest import make_worker
from tests.histories import Add, events
from tests.valkey_server import free_port, frozen, running_valkey

LONG = 600.0
BRIEF = 0.01
ENTRY = Entry("p1", "u1", 1, 1, b"fresh", b"stale", '"f"', '"s"', b"[]")


@asynccontextmanager
async def cache_at(port: int, *, retry_after: float) -> AsyncIterator[ProfileCache]:
    cache = open_cache(
        f"redis://127.0.0.1:{port}",
        timeout=0.2,
        retry_after=retry_after,
        profile_ttl=60,
        revision_ttl=60,
    )
    try:
        yield cache
    finally:
        await cache.close()


class MutePort:
    """A server that takes connections and never says a word, like a frozen Redis."""

    def __init__(self) -> None:
        self.connections = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        async with server:
            yield server.sockets[0].getsockname()[1]

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await reader.read(-1)
        writer.close()


async def read_until_hit(cache: ProfileCache) -> Hit:
    async with asyncio.timeout(10):
        while not isinstance(answer := await cache.read("p1", "u1"), Hit):  # noqa: ASYNC110
            await asyncio.sleep(BRIEF)
        return answer


async def fill(cache: ProfileCache) -> None:
    token = await cache.begin_write("p1", "u1")
    assert await cache.store(ENTRY, revision=1, token=token)


async def test_a_closed_port_is_unavailable_and_raises_nothing() -> None:
    async with cache_at(free_port(), retry_after=LONG) as cache:
        assert await cache.read("p1", "u1") is NoHit.UNAVAILABLE
        fill = await cache.begin_fill("p1", "u1")
        assert fill and not await cache.store(ENTRY, revision=1, token=fill)
        token = await cache.begin_write("p1", "u1")
        assert not await cache.store(ENTRY, revision=1, token=token)
        await cache.raise_revisions("p1", {"u1": 2})
        assert not await cache.ping()


async def test_an_erasure_or_a_pause_does_not_pretend() -> None:
    async with cache_at(free_port(), retry_after=LONG) as cache:
        with pytest.raises(Unavailable, match="nothing was changed"):
            await cache.block("p1", "u1", 60)


@pytest.mark.usefixtures("quiet_queue")
async def test_profiles_come_from_postgres(add: Add, runtime: Runtime, project_id: str) -> None:
    await add(events("u1"))
    await make_worker(runtime).run_once()
    async with cache_at(free_port(), retry_after=LONG) as cache:
        served = await ProfileReader(runtime.database, cache).read(project_id, "u1")
    assert served and (served.version, served.revision) == (1, 1)


async def test_one_silence_is_waited_for_and_no_second_one() -> None:
    port = MutePort()
    async with port.listening() as number, cache_at(number, retry_after=LONG) as cache:
        async with asyncio.timeout(10):  # redis-py's defaults would take 59 s
            answers = [await cache.read("p1", "u1") for _ in range(20)]
    assert answers == [NoHit.UNAVAILABLE] * 20
    assert port.connections == 1


async def test_readers_at_once_wait_for_one_silence_together() -> None:
    port = MutePort()
    async with port.listening() as number, cache_at(number, retry_after=LONG) as cache:
        async with asyncio.timeout(10):
            answers = await asyncio.gather(*(cache.read("p1", f"u{n}") for n in range(100)))
    assert set(answers) == {NoHit.UNAVAILABLE}
    assert port.connections == 1


async def test_a_frozen_cache_serves_again_when_it_thaws(tmp_path: Path) -> None:
    port = free_port()
    with running_valkey(port, tmp_path) as process:
        async with cache_at(port, retry_after=BRIEF) as cache:
            await fill(cache)
            with frozen(process):
                assert await cache.read("p1", "u1") is NoHit.UNAVAILABLE
            assert (await read_until_hit(cache)).entry == ENTRY


async def test_a_cache_that_missed_an_ingest_does_not_call_its_copy_fresh(tmp_path: Path) -> None:
    port = free_port()
    with running_valkey(port, tmp_path) as process:
        async with cache_at(port, retry_after=BRIEF) as cache:
            await fill(cache)
            with frozen(process):
                assert await cache.read("p1", "u1") is NoHit.UNAVAILABLE
                await cache.raise_revisions("p1", {"u1": 2})
            async with asyncio.timeout(10):
                while (answer := await cache.read("p1", "u1")) is NoHit.UNAVAILABLE:  # noqa: ASYNC110
                    await asyncio.sleep(BRIEF)
            # A hit would show version 1 as up to date; a miss asks Postgres.
            assert answer is NoHit.MISS or (isinstance(answer, Hit) and answer.revision == 2)


async def test_who_is_idle_tells_the_cache_what_it_missed(tmp_path: Path) -> None:
    port = free_port()
    with running_valkey(port, tmp_path) as process:
        async with (
            cache_at(port, retry_after=BRIEF) as writer,
            cache_at(port, retry_after=BRIEF) as reader,
        ):
            await fill(writer)
            with frozen(process):
                await writer.raise_revisions("p1", {"u1": 2})
            async with asyncio.timeout(10):
                while await reader.read("p1", "u1") is not NoHit.MISS:  # noqa: ASYNC110
                    await asyncio.sleep(BRIEF)


async def test_who_leaves_does_not_take_along_what_the_cache_missed(tmp_path: Path) -> None:
    port = free_port()
    with running_valkey(port, tmp_path) as process:
        async with cache_at(port, retry_after=BRIEF) as cache:
            await fill(cache)
            with frozen(process):
                await cache.raise_revisions("p1", {"u1": 2})
                await asyncio.sleep(2 * BRIEF)
                leaving = asyncio.create_task(cache.read("p1", "u1"))
                await asyncio.sleep(2 * BRIEF)
                leaving.cancel()
                await asyncio.gather(leaving, return_exceptions=True)
            async with asyncio.timeout(10):
                while await cache.read("p1", "u1") is not NoHit.MISS:  # noqa: ASYNC110
                    await asyncio.sleep(BRIEF)


async def test_a_cache_that_comes_back_empty_is_filled_again(tmp_path: Path) -> None:
    port = free_port()
    async with cache_at(port, retry_after=BRIEF) as cache:
        with running_valkey(port, tmp_path):
            await fill(cache)
        assert await cache.read("p1", "u1") is NoHit.UNAVAILABLE
        with running_valkey(port, tmp_path):
            async with asyncio.timeout(10):
                while not await cache.ping():  # noqa: ASYNC110 - the breaker lets one try through
                    await asyncio.sleep(BRIEF)
            assert await cache.read("p1", "u1") is NoHit.MISS
            await fill(cache)
            assert (await read_until_hit(cache)).entry == ENTRY


async def test_connections_that_died_in_a_restart_are_not_taken_for_an_outage(
    tmp_path: Path,
) -> None:
    port = free_port()
    async with cache_at(port, retry_after=LONG) as cache:
        with running_valkey(port, tmp_path):
            await asyncio.gather(*(cache.begin_write("p1", f"u{n}") for n in range(8)))
        with running_valkey(port, tmp_path):
            await fill(cache)
            assert isinstance(await cache.read("p1", "u1"), Hit)
