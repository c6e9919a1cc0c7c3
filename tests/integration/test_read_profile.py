"""Reading the serving profile: one lookup for many readers, honest about being stale."""

import asyncio

import orjson
import pytest
from redis.asyncio import Redis

from service.cache import Hit
from service.errors import (
    InvalidField,
    ProfileNotFound,
    ProfilingPaused,
    RevisionNotReached,
    UserNotFound,
)
from service.flows import read_profile
from service.flows.erase import set_profiling
from service.flows.read_profile import ProfileReader, ServedProfile
from service.runtime import Runtime
from service.worker import Worker
from tests.conftest import make_worker, working
from tests.counting_database import CountingDatabase
from tests.histories import AT_ONCE, Add, Sql, event, events
from tests.scribe import Scribe

pytestmark = pytest.mark.usefixtures("quiet_queue")


class TestColdKey:
    async def test_a_thousand_readers_are_one_database_read(
        self, add: Add, worker: Worker, runtime: Runtime, project_id: str, redis: Redis
    ) -> None:
        await add(events("u1"))
        await worker.run_once()
        await redis.flushall()
        counting = CountingDatabase(runtime.database)
        reader = ProfileReader(counting, runtime.cache)
        served = await asyncio.gather(*(reader.read(project_id, "u1") for _ in range(1_000)))
        assert counting.transactions == 1
        assert {profile.version for profile in served if profile} == {1}
        assert None not in served

    async def test_readers_of_two_processes_are_one_database_read(
        self,
        monkeypatch: pytest.MonkeyPatch,
        add: Add,
        worker: Worker,
        runtime: Runtime,
        project_id: str,
        redis: Redis,
    ) -> None:
        await add(events("u1"))
        await worker.run_once()
        await redis.flushall()
        monkeypatch.setattr(read_profile, "_FILL_WAIT_SECONDS", 20)
        counting = CountingDatabase(runtime.database)
        readers = [ProfileReader(counting, runtime.cache) for _ in range(2)]
        served = await asyncio.gather(
            *(readers[n % 2].read(project_id, "u1") for n in range(1_000))
        )
        assert counting.transactions == 1
        assert None not in served

    async def test_an_unknown_user_is_looked_up_once_too(
        self, runtime: Runtime, project_id: str
    ) -> None:
        counting = CountingDatabase(runtime.database)
        reader = ProfileReader(counting, runtime.cache)
        assert [await reader.read(project_id, "nobody") for _ in range(5)] == [None] * 5
        assert counting.transactions == 1

    async def test_a_reader_that_leaves_does_not_take_the_lookup_along(
        self, add: Add, worker: Worker, runtime: Runtime, project_id: str, redis: Redis
    ) -> None:
        await add(events("u1"))
        await worker.run_once()
        await redis.flushall()
        impatient = asyncio.create_task(runtime.reader.read(project_id, "u1"))
        patient = asyncio.create_task(runtime.reader.read(project_id, "u1"))
        await asyncio.sleep(0)
        impatient.cancel()
        served = await patient
        assert served and served.version == 1
        assert isinstance(await runtime.cache.read(project_id, "u1"), Hit)


class TestStale:
    async def test_a_profile_is_stale_once_the_history_moves_on(
        self, add: Add, worker: Worker, runtime: Runtime, project_id: str
    ) -> None:
        await add(events("u1"))
        await worker.run_once()
        fresh = await runtime.reader.read(project_id, "u1")
        await add([event("u1", 9)])
        stale = await runtime.reader.read(project_id, "u1")
        assert fresh and stale
        assert (fresh.stale, stale.stale) == (False, True)
        assert orjson.loads(stale.body) == orjson.loads(fresh.body) | {"stale": True}
        assert fresh.etag != stale.etag

    async def test_it_is_so_from_postgres_as_well(
        self, add: Add, worker: Worker, runtime: Runtime, project_id: str, redis: Redis
    ) -> None:
        await add(events("u1"))
        await worker.run_once()
        await add([event("u1", 9)])
        cached = await runtime.reader.read(project_id, "u1")
        await redis.flushall()
        assert await runtime.reader.read(project_id, "u1") == cached

    async def test_a_rewrite_makes_it_fresh(
        self, add: Add, worker: Worker, runtime: Runtime, project_id: str
    ) -> None:
        await add(events("u1"))
        await worker.run_once()
        await add([event("u1", 9)])
        await worker.run_once()
        served = await runtime.reader.read(project_id, "u1")
        assert served and (served.version, served.stale) == (2, False)


class TestReadYourWrites:
    async def test_a_profile_written_while_the_reader_looked_is_no_short_history(
        self,
        monkeypatch: pytest.MonkeyPatch,
        add: Add,
        worker: Worker,
        runtime: Runtime,
        project_id: str,
    ) -> None:
        await add(events("u1"))
        reader = ProfileReader(runtime.database, runtime.cache)
        read = reader.read

        async def read_and_be_overtaken(project: str, user: str) -> ServedProfile | None:
            found = await read(project, user)
            await worker.run_once()
            return found

        monkeypatch.setattr(reader, "read", read_and_be_overtaken)
        served = await reader.read_at_least(project_id, "u1", min_revision=1, wait=30)
        assert served.version == 1

    async def test_waits_until_the_profile_has_read_what_was_written(
        self, add: Add, runtime: Runtime, project_id: str
    ) -> None:
        async with working(make_worker(runtime, Scribe())):
            for numbers in (range(5), range(5, 8)):
                revision = (await add(events("u1", numbers))).revisions["u1"]
                served = await runtime.reader.read_at_least(
                    project_id, "u1", min_revision=revision, wait=20
                )
                assert (served.revision, served.stale) == (revision, False)

    async def test_does_not_wait_for_the_debounce(
        self, add: Add, runtime: Runtime, project_id: str
    ) -> None:
        async with working(make_worker(runtime, Scribe(), debounce=600, max_delay=600)):
            await add(events("u1"))
            served = await runtime.reader.read_at_least(project_id, "u1", min_revision=1, wait=20)
        assert served.revision == 1

    async def test_a_revision_already_read_is_no_wait(
        self, add: Add, worker: Worker, runtime: Runtime, project_id: str
    ) -> None:
        await add(events("u1"))
        await worker.run_once()
        await add([event("u1", 9)])
        served = await runtime.reader.read_at_least(project_id, "u1", min_revision=1, wait=0)
        assert (served.revision, served.stale) == (1, True)

    async def test_when_the_time_is_over_it_says_which_revision_there_is(
        self, add: Add, worker: Worker, runtime: Runtime, project_id: str
    ) -> None:
        await add(events("u1"))
        await worker.run_once()
        await add([event("u1", 9)])
        with pytest.raises(RevisionNotReached) as refused:
            await runtime.reader.read_at_least(project_id, "u1", min_revision=2, wait=0)
        assert refused.value.extensions == {"min_revision": 2, "revision": 1}

    async def test_without_waiting_nothing_is_asked_for(
        self, add: Add, sql: Sql, runtime: Runtime, project_id: str
    ) -> None:
        await add(events("u1"))
        with pytest.raises(RevisionNotReached):
            await runtime.reader.read_at_least(project_id, "u1", min_revision=1, wait=0)
        assert [job.priority for job in await sql("select priority from regenerations")] == [
            AT_ONCE.priority
        ]

    async def test_a_revision_that_does_not_exist_is_refused(
        self, add: Add, runtime: Runtime, project_id: str
    ) -> None:
        await add(events("u1"))
        with pytest.raises(InvalidField, match="the history is at 1; it has no 2"):
            await runtime.reader.read_at_least(project_id, "u1", min_revision=2, wait=20)


class TestAbsence:
    async def test_an_unknown_user(self, runtime: Runtime, project_id: str) -> None:
        with pytest.raises(UserNotFound):
            await runtime.reader.read_existing(project_id, "nobody")
        with pytest.raises(UserNotFound):
            await runtime.reader.read_at_least(project_id, "nobody", min_revision=1, wait=20)

    async def test_a_history_that_is_too_short(
        self, add: Add, runtime: Runtime, project_id: str
    ) -> None:
        await add(events("u1", range(3)))
        with pytest.raises(ProfileNotFound) as refused:
            await runtime.reader.read_existing(project_id, "u1")
        assert refused.value.extensions == {"interactions": 3, "revision": 1}

    async def test_a_user_who_objected(
        self, add: Add, worker: Worker, runtime: Runtime, project_id: str
    ) -> None:
        await add(events("u1"))
        await worker.run_once()
        await set_profiling(runtime.database, runtime.cache, project_id, "u1", "paused", 5)
        with pytest.raises(ProfilingPaused):
            await runtime.reader.read_existing(project_id, "u1")
        with pytest.raises(ProfilingPaused):
            await runtime.reader.read_at_least(project_id, "u1", min_revision=1, wait=20)

    async def test_a_user_of_another_project(
        self, add: Add, worker: Worker, runtime: Runtime, elsewhere: str
    ) -> None:
        await add(events("u1"))
        await worker.run_once()
        with pytest.raises(UserNotFound):
            await runtime.reader.read_existing(elsewhere, "u1")
