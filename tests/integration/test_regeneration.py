"""A profile is written only by who still holds the job, and covers what came meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text

from service.cache import Hit, NoHit, ProfileCache, open_cache
from service.db import claims, regenerations, users
from service.db.session import Database
from service.domain.pii import PatternRedactor
from service.errors import LeaseLost
from service.flows.regenerate import read_snapshot, regenerate
from service.generators.population import Population
from service.runtime import Runtime
from tests.conftest import make_worker
from tests.faults.processes import free_port
from tests.histories import Add, ClaimNow, Sql, event, events
from tests.scribe import Scribe

pytestmark = pytest.mark.usefixtures("quiet_queue")

JOB = "select * from regenerations where user_id = 'u1'"
MAKE_DUE = "update regenerations set due_at = now()"

MANY_JOBS = """
insert into regenerations (
    project_id, user_id, requested_revision, first_requested_at, last_requested_at, due_at, priority
)
select :project_id, 'user ' || n, 1, now(), now(), 'infinity', 1 from generate_series(1, 3000) n
"""


class TestLease:
    async def test_a_heartbeat_extends_the_leases_that_are_still_held(
        self, add: Add, sql: Sql, runtime: Runtime, project_id: str, claim_now: ClaimNow
    ) -> None:
        await add(events("u1") + events("u2"))
        held = await claim_now()
        await sql(MAKE_DUE + " where user_id = 'u2'")
        await claim_now()  # another worker takes u2 over
        async with runtime.database.transaction(project_id) as tx:
            kept = await claims.extend_leases(tx, held, lease=600)
        assert kept == {job.lease_token for job in held if job.user_id == "u1"}
        far = await sql("select user_id from regenerations where due_at > now() + '5 minutes'")
        assert [row.user_id for row in far] == ["u1"]

    async def test_heartbeat_and_ingest_take_their_locks_in_one_order(
        self,
        add: Add,
        sql: Sql,
        runtime: Runtime,
        project_id: str,
        owner: Database,
        claim_now: ClaimNow,
    ) -> None:
        names = ["a", "m", "z"]
        await add([item for name in names for item in events(name)])
        held = {job.user_id: job for job in await claim_now()}
        # So many rows that the planner looks each user up, in the order in which they are named.
        await sql(MANY_JOBS)
        async with owner.across_projects() as connection:
            await connection.execute(text("analyze regenerations"))

        async def beat() -> set[int]:
            async with runtime.database.transaction(project_id) as tx:
                return await claims.extend_leases(
                    tx, [held[name] for name in reversed(names)], lease=30
                )

        async with runtime.database.transaction(project_id) as tx:
            await tx.execute(text("select from regenerations where user_id = 'm' for update"))
            ingested = asyncio.create_task(add([event(name, 9) for name in names]))
            await _until_waiting(sql, 1)
            beaten = asyncio.create_task(beat())
            await _until_waiting(sql, 2)
        assert (await ingested).revisions == dict.fromkeys(names, 2)
        assert len(await beaten) == 3

    async def test_who_lost_the_lease_writes_nothing(
        self, add: Add, sql: Sql, runtime: Runtime, project_id: str, claim_now: ClaimNow
    ) -> None:
        await add(events("u1"))
        late = make_worker(runtime, scribe := Scribe())

        async def another_worker_takes_over() -> None:
            await sql(MAKE_DUE)
            assert len(await claim_now()) == 1

        scribe.meanwhile = another_worker_takes_over
        assert await late.run_once() == 1
        assert await sql("select 1 from profiles") == []
        assert not isinstance(await runtime.cache.read(project_id, "u1"), Hit)
        (job,) = await sql(JOB)
        assert (job.attempts, job.last_error) == (2, None)

    async def test_a_late_finish_cannot_overwrite_the_new_owners_profile(
        self, add: Add, sql: Sql, runtime: Runtime, project_id: str, claim_now: ClaimNow
    ) -> None:
        await add(events("u1"))
        (late,) = await claim_now()
        snapshot = await read_snapshot(runtime.database, late, 200)
        assert snapshot
        await add([event("u1", 9)])
        await sql(MAKE_DUE)
        await make_worker(runtime, Scribe()).run_once()
        with pytest.raises(LeaseLost):
            await regenerate(
                *(runtime.database, runtime.cache, Scribe(), late, snapshot, Population.empty()),
                redactor=PatternRedactor(),
            )
        served = await runtime.reader.read(project_id, "u1")
        assert served and (served.version, served.revision, served.stale) == (1, 2, False)


class TestFinish:
    async def test_events_that_come_mid_run_leave_the_job_due_again(
        self, add: Add, sql: Sql, runtime: Runtime, project_id: str
    ) -> None:
        await add(events("u1"))
        worker = make_worker(runtime, scribe := Scribe())
        scribe.meanwhile = lambda: add([event("u1", 9)])
        await worker.run_once()
        first = await runtime.reader.read(project_id, "u1")
        assert first and (first.revision, first.stale) == (1, True)
        scribe.meanwhile = None
        assert await worker.run_once() == 1
        second = await runtime.reader.read(project_id, "u1")
        assert second and (second.revision, second.stale) == (2, False)
        assert scribe.writes == [5, 6]
        assert await sql(JOB) == []

    async def test_who_asks_mid_run_for_what_came_mid_run_does_not_wait(
        self, add: Add, runtime: Runtime, project_id: str, claim_now: ClaimNow
    ) -> None:
        await add(events("u1"))
        worker = make_worker(runtime, scribe := Scribe())

        async def write_and_ask_to_read_it() -> None:
            revisions = (await add([event("u1", 9)])).revisions
            async with runtime.database.transaction(project_id) as tx:
                await regenerations.request_now(tx, "u1", revisions["u1"])

        scribe.meanwhile = write_and_ask_to_read_it
        await worker.run_once()
        assert len(await claim_now(debounce=60, max_delay=120)) == 1

    async def test_the_urgency_of_an_asked_job_ends_with_its_run(
        self, add: Add, runtime: Runtime, project_id: str, claim_now: ClaimNow
    ) -> None:
        await add(events("u1"))
        async with runtime.database.transaction(project_id) as tx:
            await regenerations.request_now(tx, "u1", 1)
        worker = make_worker(runtime, scribe := Scribe())
        scribe.meanwhile = lambda: add([event("u1", 9)])
        await worker.run_once()
        assert await claim_now(debounce=60, max_delay=120) == []

    async def test_the_same_text_of_the_same_revision_is_no_new_version(
        self, add: Add, sql: Sql, runtime: Runtime, project_id: str
    ) -> None:
        await add(events("u1"))
        worker = make_worker(runtime, scribe := Scribe())
        await worker.run_once()
        async with runtime.database.transaction(project_id) as tx:
            await regenerations.request_now(tx, "u1", 1)
        assert await worker.run_once() == 1
        assert scribe.writes == [5, 5]
        assert [row.version for row in await sql("select version from profiles")] == [1]

    async def test_a_run_without_news_puts_into_the_cache_what_a_killed_worker_did_not(
        self, add: Add, runtime: Runtime, project_id: str, claim_now: ClaimNow
    ) -> None:
        await add(events("u1"))
        (job,) = await claim_now()
        snapshot = await read_snapshot(runtime.database, job, history_limit=200)
        assert snapshot
        async with _cache_that_is_away() as away:
            await regenerate(
                *(runtime.database, away, Scribe(), job, snapshot, Population.empty()),
                redactor=PatternRedactor(),
            )
        assert await runtime.cache.read(project_id, "u1") is NoHit.MISS
        async with runtime.database.transaction(project_id) as tx:
            await regenerations.request_now(tx, "u1", 1)
        await make_worker(runtime, Scribe()).run_once()
        answer = await runtime.cache.read(project_id, "u1")
        assert isinstance(answer, Hit) and (answer.entry.version, answer.revision) == (1, 1)

    async def test_a_user_paused_mid_run_gets_no_profile(
        self, add: Add, sql: Sql, runtime: Runtime, project_id: str
    ) -> None:
        await add(events("u1"))
        worker = make_worker(runtime, scribe := Scribe())

        async def pause() -> None:
            async with runtime.database.transaction(project_id) as tx:
                await users.set_profiling(tx, "u1", "paused")

        scribe.meanwhile = pause
        await worker.run_once()
        assert await sql("select 1 from profiles") == []
        assert await sql(JOB) == []


@asynccontextmanager
async def _cache_that_is_away() -> AsyncIterator[ProfileCache]:
    url = f"redis://127.0.0.1:{free_port()}/0"
    cache = open_cache(url, timeout=0.5, retry_after=60, profile_ttl=60, revision_ttl=60)
    yield cache
    await cache.close()


async def _until_waiting(sql: Sql, count: int) -> None:
    """Polls until `count` statements of this database wait for a lock."""
    waiting = "select 1 from pg_stat_activity where wait_event_type = 'Lock'"
    async with asyncio.timeout(10):
        while len(await sql(waiting)) < count:  # noqa: ASYNC110 - the event is in Postgres
            await asyncio.sleep(0.01)
