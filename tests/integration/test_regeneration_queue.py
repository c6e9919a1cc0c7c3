"""The row is the job: requests coalesce in it, and one worker claims it when it is due."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from service.db import claims, regenerations
from service.runtime import Runtime
from tests.conftest import make_worker
from tests.histories import AT_ONCE, Add, ClaimNow, Sql, event, events
from tests.scribe import Scribe

pytestmark = pytest.mark.usefixtures("quiet_queue")

JOB = "select * from regenerations where user_id = 'u1'"
MAKE_DUE = "update regenerations set due_at = now()"


class TestRequest:
    async def test_repeated_requests_are_one_job(self, add: Add, sql: Sql) -> None:
        await add(events("u1"))
        (first,) = await sql(JOB)
        await add(events("u1", range(5, 7)))
        await add(events("u1", range(7, 9)))
        (job,) = await sql(JOB)
        assert (first.requested_revision, job.requested_revision) == (1, 3)
        assert (job.due_at, job.first_requested_at) == (first.due_at, first.first_requested_at)
        assert job.last_requested_at > first.last_requested_at

    async def test_a_short_history_asks_for_nothing(self, add: Add, sql: Sql) -> None:
        await add(events("u1", range(4)))
        assert await sql(JOB) == []
        await add([event("u1", 4)])
        assert len(await sql(JOB)) == 1

    async def test_a_paused_user_asks_for_nothing(self, add: Add, sql: Sql) -> None:
        await add(events("u1", range(4)))
        await sql("update users set profiling = 'paused'")
        await add(events("u1", range(4, 9)))
        assert await sql(JOB) == []

    async def test_it_is_due_when_the_debounce_is_over(
        self, add: Add, sql: Sql, claim_now: ClaimNow
    ) -> None:
        await add(events("u1"), replace(AT_ONCE, debounce=60))
        (job,) = await sql(JOB)
        assert (job.due_at - job.last_requested_at).total_seconds() == 60
        assert await claim_now() == []


class TestClaim:
    async def test_events_that_still_come_put_a_job_off(
        self, add: Add, sql: Sql, claim_now: ClaimNow
    ) -> None:
        await add(events("u1"))
        assert await claim_now(debounce=60, max_delay=120) == []
        (job,) = await sql(JOB)
        assert (job.due_at - job.last_requested_at).total_seconds() == 60
        assert (job.attempts, job.lease_token) == (0, None)

    async def test_a_quiet_user_is_not_put_off(
        self, add: Add, sql: Sql, claim_now: ClaimNow
    ) -> None:
        await add(events("u1"))
        await sql("update regenerations set last_requested_at = now() - interval '61 seconds'")
        assert len(await claim_now(debounce=60, max_delay=120)) == 1

    async def test_nobody_is_put_off_beyond_the_longest_delay(
        self, add: Add, sql: Sql, claim_now: ClaimNow
    ) -> None:
        await add(events("u1"))
        await sql("update regenerations set first_requested_at = now() - interval '121 seconds'")
        assert len(await claim_now(debounce=60, max_delay=120)) == 1

    async def test_who_asks_by_name_does_not_wait(
        self, add: Add, runtime: Runtime, project_id: str, claim_now: ClaimNow
    ) -> None:
        await add(events("u1"), replace(AT_ONCE, debounce=60))
        async with runtime.database.transaction(project_id) as tx:
            await regenerations.request_now(tx, "u1", 1)
        assert len(await claim_now(debounce=60, max_delay=120)) == 1

    async def test_the_most_urgent_comes_first_then_the_longest_due(
        self, add: Add, sql: Sql, runtime: Runtime, project_id: str, claim_now: ClaimNow
    ) -> None:
        await add(events("backfill"), replace(AT_ONCE, priority=2))
        await add(events("later"))
        await add(events("earlier"))
        await add(events("asked"))
        await sql(
            "update regenerations set due_at = now() - interval '1 hour' where user_id = 'earlier'"
        )
        async with runtime.database.transaction(project_id) as tx:
            await regenerations.request_now(tx, "asked", 1)
        order = [(await claim_now(limit=1))[0].user_id for _ in range(4)]
        assert order == ["asked", "earlier", "later", "backfill"]

    async def test_a_claimed_job_is_nobody_elses_until_the_lease_ends(
        self, add: Add, sql: Sql, claim_now: ClaimNow
    ) -> None:
        await add(events("u1"))
        (first,) = await claim_now()
        assert await claim_now() == []
        await sql(MAKE_DUE)
        (second,) = await claim_now()
        assert second.lease_token > first.lease_token
        assert (first.attempts, second.attempts) == (1, 2)

    async def test_a_lease_that_ran_out_once_puts_no_job_under_suspicion(
        self, add: Add, claim_now: ClaimNow
    ) -> None:
        await add(events("u1") + events("u2"))
        await claim_now(lease=0)
        assert [job.suspect for job in await claim_now()] == [False, False]

    async def test_who_was_lost_twice_is_claimed_alone(self, add: Add, claim_now: ClaimNow) -> None:
        await add(events("u1") + events("u2"))
        for _ in range(2):
            assert len(await claim_now(lease=0)) == 2
        first, second = await claim_now(), await claim_now()
        assert {job.user_id for job in first + second} == {"u1", "u2"}
        assert [job.suspect for job in first + second] == [True, True]

    async def test_who_waits_longer_comes_before_a_suspect_and_without_it(
        self, add: Add, sql: Sql, claim_now: ClaimNow
    ) -> None:
        await add(events("suspect"))
        for _ in range(2):
            await claim_now(lease=0)
        await add(events("u1"))
        await sql("update regenerations set due_at = now() - interval '1 hour' where attempts = 0")
        assert [(job.user_id, job.suspect) for job in await claim_now()] == [("u1", False)]
        assert [(job.user_id, job.suspect) for job in await claim_now()] == [("suspect", True)]

    async def test_a_failure_with_a_reason_raises_no_suspicion(
        self, add: Add, runtime: Runtime, project_id: str, claim_now: ClaimNow
    ) -> None:
        await add(events("u1"))
        for _ in range(3):
            (job,) = await claim_now()
            assert not job.suspect
            async with runtime.database.transaction(project_id) as tx:
                await claims.retry_later(tx, job, error="ValueError", delay=0)

    async def test_new_events_do_not_put_off_what_was_claimed_before(
        self, add: Add, claim_now: ClaimNow
    ) -> None:
        await add(events("u1"))
        await claim_now(lease=0)
        await add([event("u1", 9)])
        assert len(await claim_now(debounce=60, max_delay=120)) == 1

    async def test_new_events_do_not_touch_a_lease(
        self, add: Add, sql: Sql, claim_now: ClaimNow
    ) -> None:
        await add(events("u1"))
        (job,) = await claim_now()
        (before,) = await sql(JOB)
        await add([event("u1", 9)])
        (after,) = await sql(JOB)
        assert (after.due_at, after.lease_token) == (before.due_at, job.lease_token)

    async def test_two_workers_share_two_hundred_jobs_without_doing_one_twice(
        self, add: Add, sql: Sql, runtime: Runtime
    ) -> None:
        await add([item for n in range(200) for item in events(f"u{n}")])
        scribes = [Scribe(), Scribe()]
        workers = [make_worker(runtime, scribe, batch=10) for scribe in scribes]

        async def work_off(number: int) -> None:
            while await workers[number].run_once():
                pass

        await asyncio.gather(work_off(0), work_off(1))
        assert sum(len(scribe.writes) for scribe in scribes) == 200
        assert all(scribe.writes for scribe in scribes)
        versions = await sql("select user_id, version from profiles")
        assert Counter(row.version for row in versions) == {1: 200}
        assert await sql("select 1 from regenerations") == []
