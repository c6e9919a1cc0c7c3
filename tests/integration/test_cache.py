"""The profile cache: it may forget everything, but never serves what is wrong or outdated."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from service.cache import Entry, Hit, NoHit, ProfileCache, WriteToken, user_digest
from service.runtime import Runtime
from service.worker import Worker
from tests.histories import Add, events

ids = st.text(st.sampled_from(":&=%0{}/.|\x1f é用🍜ab1"), min_size=1, max_size=12) | st.text(
    min_size=1
)


def entry(project_id: str, user_id: str = "u1", *, version: int = 1, revision: int = 1) -> Entry:
    bodies = (b"fresh %d" % version, b"stale %d" % version)
    return Entry(project_id, user_id, version, revision, *bodies, '"f"', '"s"', b"[]")


@pytest.fixture
def cache(runtime: Runtime) -> ProfileCache:
    return runtime.cache


def key_of(project_id: str, user_id: str, kind: str) -> str:
    return f"bump:{{{user_digest(project_id, user_id).hex()}}}:{kind}"


async def write(cache: ProfileCache, written: Entry, revision: int | None = None) -> bool:
    token = await cache.begin_write(written.project_id, written.user_id)
    return await cache.store(written, revision=revision or written.revision, token=token)


class TestRead:
    async def test_what_was_never_written_is_a_miss(
        self, cache: ProfileCache, project_id: str
    ) -> None:
        assert await cache.read(project_id, "u1") is NoHit.MISS

    async def test_what_was_written_is_read_with_the_newest_revision(
        self, cache: ProfileCache, project_id: str
    ) -> None:
        assert await write(cache, entry(project_id), revision=3)
        assert await cache.read(project_id, "u1") == Hit(entry(project_id), 3)

    async def test_without_the_revision_it_is_a_miss(
        self, cache: ProfileCache, project_id: str, redis: Redis
    ) -> None:
        await write(cache, entry(project_id))
        await redis.delete(key_of(project_id, "u1", "r"))
        assert await cache.read(project_id, "u1") is NoHit.MISS

    async def test_reads_at_once_share_a_round_trip(
        self, cache: ProfileCache, project_id: str, redis: Redis
    ) -> None:
        await cache.read(project_id, "u1")  # so that it is connected
        before = (await redis.info("stats"))["total_reads_processed"]
        await asyncio.gather(*(cache.read(project_id, f"u{n}") for n in range(100)))
        packets = (await redis.info("stats"))["total_reads_processed"] - before
        assert packets <= 5  # one each would be 100

    async def test_an_entry_under_another_users_key_is_not_served(
        self, cache: ProfileCache, project_id: str, redis: Redis
    ) -> None:
        await redis.set(key_of(project_id, "u2", "p"), entry(project_id, "u1").to_bytes())
        await redis.set(key_of(project_id, "u2", "r"), 1)
        assert await cache.read(project_id, "u2") is NoHit.MISS

    @pytest.mark.parametrize("planted", [b"", b"7", b"1 900 [", b"\x80\x04cposix"])
    async def test_what_is_no_entry_is_a_miss_and_can_be_replaced(
        self, planted: bytes, cache: ProfileCache, project_id: str, redis: Redis
    ) -> None:
        await redis.set(key_of(project_id, "u1", "p"), planted)
        await redis.set(key_of(project_id, "u1", "r"), 1)
        assert await cache.read(project_id, "u1") is NoHit.MISS
        assert await write(cache, entry(project_id))
        assert await cache.read(project_id, "u1") == Hit(entry(project_id), 1)


class TestStore:
    async def test_a_newer_version_replaces_an_older_one_and_not_the_reverse(
        self, cache: ProfileCache, project_id: str
    ) -> None:
        assert await write(cache, entry(project_id, version=9))
        assert await write(cache, entry(project_id, version=10))
        assert not await write(cache, entry(project_id, version=9))
        assert await cache.read(project_id, "u1") == Hit(entry(project_id, version=10), 1)

    async def test_a_token_is_good_for_one_write(
        self, cache: ProfileCache, project_id: str
    ) -> None:
        token = await cache.begin_write(project_id, "u1")
        assert await cache.store(entry(project_id), revision=1, token=token)
        assert not await cache.store(entry(project_id, version=2), revision=1, token=token)

    async def test_who_was_slower_than_the_token_lives_is_refused(
        self, cache: ProfileCache, project_id: str, redis: Redis
    ) -> None:
        token = await cache.begin_write(project_id, "u1")
        assert 0 < await redis.pttl(token.key) <= 30_000
        await redis.delete(token.key)  # its time is over
        assert not await cache.store(entry(project_id), revision=1, token=token)
        assert await cache.read(project_id, "u1") is NoHit.MISS

    async def test_who_dies_before_the_write_leaves_a_miss_when_the_token_is_gone(
        self, cache: ProfileCache, project_id: str, redis: Redis
    ) -> None:
        await write(cache, entry(project_id))
        await cache.raise_revisions(project_id, {"u1": 2})
        token = await cache.begin_write(project_id, "u1")
        left = await redis.pttl(key_of(project_id, "u1", "r"))
        assert 0 < left <= await redis.pttl(token.key) + 1
        assert await cache.store(entry(project_id, version=2), revision=2, token=token)
        assert await redis.pttl(key_of(project_id, "u1", "r")) > 30_000

    async def test_a_made_up_token_is_refused(self, cache: ProfileCache, project_id: str) -> None:
        token = await cache.begin_write(project_id, "u1")
        forged = WriteToken(token.key, "0" * 16)
        assert not await cache.store(entry(project_id), revision=1, token=forged)

    async def test_nothing_lives_for_ever(
        self, cache: ProfileCache, project_id: str, redis: Redis
    ) -> None:
        await write(cache, entry(project_id))
        await write(cache, Entry.absent(project_id, "u2"))
        assert 30 < await redis.ttl(key_of(project_id, "u1", "p")) <= 86_400
        assert 0 < await redis.ttl(key_of(project_id, "u1", "r")) <= 300
        assert 0 < await redis.ttl(key_of(project_id, "u2", "p")) <= 30


class TestFill:
    async def test_one_reader_at_a_time_may_fill(
        self, cache: ProfileCache, project_id: str
    ) -> None:
        token = await cache.begin_fill(project_id, "u1")
        assert token and await cache.begin_fill(project_id, "u1") is None
        assert await cache.store(entry(project_id), revision=1, token=token)
        assert await cache.begin_fill(project_id, "u1")

    async def test_a_fill_does_not_undo_a_write_that_came_meanwhile(
        self, cache: ProfileCache, project_id: str
    ) -> None:
        token = await cache.begin_fill(project_id, "u1")
        assert token
        await write(cache, entry(project_id))
        absent = Entry.absent(project_id, "u1")
        assert not await cache.store(absent, revision=0, token=token)
        assert await cache.read(project_id, "u1") == Hit(entry(project_id), 1)

    async def test_that_there_is_no_profile_is_remembered_until_there_is_one(
        self, cache: ProfileCache, project_id: str
    ) -> None:
        await write(cache, Entry.absent(project_id, "u1"))
        known = await cache.read(project_id, "u1")
        assert isinstance(known, Hit) and known.entry.version == 0
        assert await write(cache, entry(project_id))


class TestRevisions:
    async def test_are_raised_and_never_lowered(self, cache: ProfileCache, project_id: str) -> None:
        await write(cache, entry(project_id), revision=5)
        for raised, expected in ((7, 7), (6, 7), (8, 8)):
            await cache.raise_revisions(project_id, {"u1": raised, "u2": 1})
            assert await cache.read(project_id, "u1") == Hit(entry(project_id), expected)

    async def test_a_write_does_not_lower_them_either(
        self, cache: ProfileCache, project_id: str
    ) -> None:
        await cache.raise_revisions(project_id, {"u1": 9})
        await write(cache, entry(project_id, revision=8))
        assert await cache.read(project_id, "u1") == Hit(entry(project_id, revision=8), 9)


class TestBlock:
    async def test_drops_the_entry_and_refuses_every_write(
        self, cache: ProfileCache, project_id: str, redis: Redis
    ) -> None:
        await write(cache, entry(project_id))
        before = await cache.begin_write(project_id, "u1")
        await cache.block(project_id, "u1", 60)
        assert not await cache.store(entry(project_id, version=2), revision=2, token=before)
        assert not await write(cache, entry(project_id, version=3))
        await cache.raise_revisions(project_id, {"u1": 3})
        assert await cache.read(project_id, "u1") is NoHit.BLOCKED
        assert 0 < await redis.ttl(key_of(project_id, "u1", "p")) <= 60

    async def test_readers_ask_postgres_behind_it(
        self, cache: ProfileCache, project_id: str, add: Add, runtime: Runtime, worker: Worker
    ) -> None:
        await add(events("u1"))
        await worker.run_once()
        await cache.block(project_id, "u1", 60)
        served = await runtime.reader.read(project_id, "u1")
        assert served and served.revision == 1
        assert await cache.read(project_id, "u1") is NoHit.BLOCKED


@given(st.tuples(ids, ids), st.tuples(ids, ids))
def test_two_users_never_share_a_key(first: tuple[str, str], second: tuple[str, str]) -> None:
    assert (user_digest(*first) == user_digest(*second)) == (first == second)


@pytest.mark.parametrize(
    ("first", "second"),
    [(("a", "b:c"), ("a:b", "c")), (("a", "bc"), ("ab", "c")), (("1", ":1"), ("1:", "1"))],
)
def test_where_project_and_user_meet_is_part_of_the_key(
    first: tuple[str, str], second: tuple[str, str]
) -> None:
    assert user_digest(*first) != user_digest(*second)
