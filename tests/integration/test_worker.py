"""A worker that fails, dies, drains or sees too much: nothing is lost, nobody else is stopped."""

import asyncio

import pytest

from service.db import regenerations
from service.db.claims import claim
from service.db.interactions import NewInteraction
from service.errors import DatabaseUnavailable
from service.runtime import Runtime
from service.worker import Worker
from tests.conftest import make_worker
from tests.histories import Add, Sql, event, events
from tests.scribe import POISON, Scribe

pytestmark = pytest.mark.usefixtures("quiet_queue")

JOB = "select * from regenerations where user_id = 'u1'"
MAKE_DUE = "update regenerations set due_at = now()"
CANARY = "canary-7b1f"


def poisoned(user_id: str) -> list[NewInteraction]:
    return [*events(user_id, range(4)), event(user_id, 4, text=f"{POISON} {CANARY}")]


async def run_attempts(worker: Worker, sql: Sql, count: int) -> None:
    for _ in range(count):
        await sql(MAKE_DUE + " where parked_at is null")
        assert await worker.run_once() == 1


class TestFailure:
    async def test_is_tried_again_after_a_pause_that_doubles(
        self, add: Add, sql: Sql, runtime: Runtime
    ) -> None:
        await add(poisoned("u1"))
        worker = make_worker(runtime, Scribe(), backoff=1000)
        for attempt in (1, 2, 3):
            await run_attempts(worker, sql, 1)
            (job,) = await sql(
                f"{JOB} and due_at <= now() + :longest * interval '1 second'",
                longest=1000 * 2 ** (attempt - 1),
            )
            assert (job.attempts, job.lease_token, job.parked_at) == (attempt, None, None)

    async def test_is_parked_after_the_last_attempt(
        self, add: Add, sql: Sql, runtime: Runtime
    ) -> None:
        await add(poisoned("u1"))
        worker = make_worker(runtime, scribe := Scribe(), max_attempts=3)
        await run_attempts(worker, sql, 3)
        (job,) = await sql(JOB + " and parked_at is not null and due_at = 'infinity'")
        assert (job.attempts, job.lease_token) == (3, None)
        assert await worker.run_once() == 0
        assert len(scribe.writes) == 3

    async def test_the_reason_holds_nothing_that_the_user_wrote(
        self, add: Add, sql: Sql, runtime: Runtime
    ) -> None:
        await add(poisoned("u1"))
        worker = make_worker(runtime, Scribe(), max_attempts=2)
        reasons = []
        for _ in range(2):
            await run_attempts(worker, sql, 1)
            reasons += [row.last_error for row in await sql(JOB)]
        assert reasons == ["ValueError", "ValueError"]

    async def test_an_outage_of_the_database_is_no_attempt(
        self, add: Add, sql: Sql, runtime: Runtime
    ) -> None:
        await add(events("u1"))
        scribe = Scribe()

        async def database_goes_away() -> None:
            raise DatabaseUnavailable("gone", retry_after_seconds=1)

        scribe.meanwhile = database_goes_away
        await make_worker(runtime, scribe, max_attempts=1, backoff=60).run_once()
        (job,) = await sql(f"{JOB} and due_at between now() and now() + interval '60 seconds'")
        assert (job.attempts, job.lease_token, job.parked_at) == (0, None, None)

    async def test_what_the_database_cannot_bear_is_tried_less_and_less_often(
        self, add: Add, sql: Sql, runtime: Runtime
    ) -> None:
        await add(events("u1"))
        await sql("update regenerations set first_requested_at = now() - interval '10 hours'")
        scribe = Scribe()

        async def statement_times_out() -> None:
            raise DatabaseUnavailable("out of time", retry_after_seconds=1)

        scribe.meanwhile = statement_times_out
        waits = []
        for _ in range(8):
            await sql("update regenerations set due_at = now()")
            await make_worker(runtime, scribe, backoff=1).run_once()
            (job,) = await sql(f"{JOB}")
            assert (job.attempts, job.last_error, job.parked_at) == (0, "out of time", None)
            waits += await sql(
                "select due_at > now() + interval '1 minute' as long from regenerations"
            )
        assert any(wait.long for wait in waits)

    async def test_new_events_wake_a_parked_user(
        self, add: Add, sql: Sql, runtime: Runtime, project_id: str
    ) -> None:
        await add(poisoned("u1"))
        await run_attempts(make_worker(runtime, Scribe(), max_attempts=1), sql, 1)
        await add([event("u1", 9)])
        (job,) = await sql(JOB)
        assert (job.attempts, job.parked_at, job.requested_revision) == (0, None, 2)
        assert await make_worker(runtime).run_once() == 1
        served = await runtime.reader.read(project_id, "u1")
        assert served and served.revision == 2

    @pytest.mark.parametrize("user_id", ["u1", None])
    async def test_a_person_wakes_one_or_all(
        self, user_id: str | None, add: Add, runtime: Runtime, project_id: str
    ) -> None:
        await add(poisoned("u1") + poisoned("u2"))
        await make_worker(runtime, Scribe(), max_attempts=1).run_once()
        async with runtime.database.transaction(project_id) as tx:
            woken = await regenerations.requeue_parked(tx, user_id)
        assert woken == (1 if user_id else 2)
        assert await make_worker(runtime, Scribe()).run_once() == woken

    async def test_one_poison_user_stops_nobody_else(
        self, add: Add, sql: Sql, runtime: Runtime
    ) -> None:
        await add([item for n in range(5) for item in events(f"good {n}")] + poisoned("bad"))
        assert await make_worker(runtime, Scribe(), concurrency=1).run_once() == 6
        served = await sql("select user_id from profiles order by user_id")
        assert [row.user_id for row in served] == [f"good {n}" for n in range(5)]
        assert [row.user_id for row in await sql("select user_id from regenerations")] == ["bad"]

    async def test_a_job_that_kills_its_workers_is_parked_unread(
        self, add: Add, sql: Sql, runtime: Runtime
    ) -> None:
        await add(events("u1"))
        for _ in range(3):
            await claim(runtime.database, limit=1, lease=30, debounce=0, max_delay=0)
            await sql(MAKE_DUE)  # the worker is gone, its lease runs out
        assert await make_worker(runtime, scribe := Scribe(), max_attempts=3).run_once() == 1
        (job,) = await sql(JOB)
        assert job.parked_at and job.last_error == "AttemptsExhausted"
        assert scribe.writes == []


class TestRunning:
    async def test_a_heartbeat_outlasts_a_slow_generator(
        self, add: Add, sql: Sql, runtime: Runtime
    ) -> None:
        await add(events("u1"))
        leases = []

        async def until_the_lease_is_extended() -> None:
            leases.append((await sql(JOB))[0].due_at)
            while (due_at := (await sql(JOB))[0].due_at) == leases[0]:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            leases.append(due_at)
            stop.set()

        stop, scribe = asyncio.Event(), Scribe()
        scribe.meanwhile = until_the_lease_is_extended
        async with asyncio.timeout(20):
            await make_worker(runtime, scribe, lease=1.5).run(stop)
        assert leases[1] > leases[0]
        assert scribe.writes == [5]
        assert len(await sql("select 1 from profiles")) == 1

    async def test_a_generator_that_hangs_is_a_failed_attempt(
        self, add: Add, sql: Sql, runtime: Runtime
    ) -> None:
        await add(events("u1"))
        scribe = Scribe()
        scribe.meanwhile = asyncio.Event().wait
        await make_worker(runtime, scribe, generation_timeout=0.05).run_once()
        (job,) = await sql(JOB)
        assert (job.attempts, job.lease_token) == (1, None)
        assert job.last_error == "GenerationTimedOut"

    async def test_beside_a_suspect_nothing_else_is_claimed(
        self, add: Add, sql: Sql, runtime: Runtime
    ) -> None:
        await add(events("suspect"))
        for _ in range(2):
            await claim(runtime.database, limit=1, lease=0, debounce=0, max_delay=0)
        await add(events("u1"))
        stop, scribe = asyncio.Event(), Scribe()

        async def look_and_stop() -> None:
            await asyncio.sleep(0.1)  # Ten polls.
            (other,) = await sql(JOB)
            assert other.attempts == 0
            stop.set()

        scribe.meanwhile = look_and_stop
        await make_worker(runtime, scribe, poll=0.01).run(stop)
        assert [row.user_id for row in await sql("select user_id from profiles")] == ["suspect"]

    async def test_a_drain_lets_a_running_job_finish(
        self, add: Add, sql: Sql, runtime: Runtime
    ) -> None:
        await add(events("u1"))
        stop, scribe = asyncio.Event(), Scribe()

        async def stop_now() -> None:
            stop.set()

        scribe.meanwhile = stop_now
        await make_worker(runtime, scribe).run(stop)
        assert len(await sql("select 1 from profiles")) == 1
        assert await sql(JOB) == []

    async def test_a_drain_gives_back_what_it_cannot_finish_as_if_never_claimed(
        self, add: Add, sql: Sql, runtime: Runtime
    ) -> None:
        await add(events("u1") + events("u2") + events("u3"))
        stop, scribe = asyncio.Event(), Scribe()

        async def hang() -> None:
            stop.set()
            await asyncio.Event().wait()

        scribe.meanwhile = hang
        await make_worker(runtime, scribe, concurrency=1, drain_timeout=0.05).run(stop)
        jobs = await sql("select attempts, lease_token, last_error from regenerations")
        assert [tuple(job) for job in jobs] == [(0, None, None)] * 3
        assert await make_worker(runtime, Scribe()).run_once() == 3

    async def test_a_generator_reads_the_newest_of_a_long_history(
        self, add: Add, runtime: Runtime
    ) -> None:
        await add(events("u1", range(30)))
        await make_worker(runtime, scribe := Scribe(), history_limit=20).run_once()
        assert scribe.writes == [20]


class TestPlausibility:
    async def test_a_sudden_turn_is_set_aside_and_the_old_profile_serves_on(
        self, add: Add, sql: Sql, runtime: Runtime, project_id: str
    ) -> None:
        await add(events("u1", range(20)))
        worker = make_worker(runtime, scribe := Scribe(statements=5))
        await worker.run_once()
        await add([event("u1", 20)])
        scribe.subject = "very different story"
        await worker.run_once()
        versions = await sql("select version, status from profiles order by version")
        assert [tuple(row) for row in versions] == [(1, "serving"), (2, "quarantined")]
        served = await runtime.reader.read(project_id, "u1")
        assert served and (served.version, served.stale) == (1, True)

    async def test_a_turn_that_is_said_again_is_no_accident(
        self, add: Add, sql: Sql, runtime: Runtime
    ) -> None:
        await add(events("u1", range(20)))
        worker = make_worker(runtime, scribe := Scribe(statements=5))
        await worker.run_once()
        scribe.subject = "very different story"
        for number in (20, 21):
            await add([event("u1", number)])
            await worker.run_once()
        versions = await sql("select version, status from profiles order by version")
        assert [tuple(row) for row in versions] == [
            (1, "superseded"),
            (2, "quarantined"),
            (3, "serving"),
        ]

    async def test_news_explain_a_turn(self, add: Add, sql: Sql, runtime: Runtime) -> None:
        await add(events("u1", range(20)))
        worker = make_worker(runtime, scribe := Scribe(statements=5))
        await worker.run_once()
        await add(events("u1", range(20, 30)))
        scribe.subject = "very different story"
        await worker.run_once()
        versions = await sql("select status from profiles order by version")
        assert [row.status for row in versions] == ["superseded", "serving"]

    async def test_another_generator_may_say_everything_differently(
        self, add: Add, sql: Sql, runtime: Runtime, project_id: str
    ) -> None:
        await add(events("u1", range(20)))
        await make_worker(runtime, Scribe(statements=5)).run_once()
        async with runtime.database.transaction(project_id) as tx:
            await regenerations.request_now(tx, "u1", 1)
        await make_worker(runtime).run_once()
        versions = await sql("select generator, status from profiles order by version")
        assert [tuple(row) for row in versions] == [
            ("scribe", "superseded"),
            ("extractive", "serving"),
        ]


class TestPopulation:
    async def test_every_interaction_is_counted_once_by_any_number_of_workers(
        self, add: Add, sql: Sql, runtime: Runtime
    ) -> None:
        users = [f"u{n}" for n in range(40)]
        for numbers in (range(5), range(5, 9)):
            await add([item for user in users for item in events(user, numbers)])
            workers = [make_worker(runtime, Scribe(), batch=8) for _ in range(2)]
            await asyncio.gather(*(_work_off(worker) for worker in workers))
        (counted,) = await sql("select interactions from population_stats")
        (reached,) = await sql(
            "select count(*) as interactions from interactions i"
            " join users u using (project_id, user_id) where i.revision <= u.counted_revision"
        )
        assert counted.interactions == reached.interactions == 40 * 9

    async def test_a_user_read_by_two_workers_is_counted_by_one(
        self, add: Add, sql: Sql, runtime: Runtime
    ) -> None:
        await add(events("u1"))
        late, scribe = make_worker(runtime, Scribe()), Scribe()

        async def another_worker_takes_over() -> None:
            await sql(MAKE_DUE)
            await late.run_once()

        scribe.meanwhile = another_worker_takes_over
        await make_worker(runtime, scribe).run_once()
        (counted,) = await sql("select interactions from population_stats")
        assert counted.interactions == 5


async def _work_off(worker: Worker) -> None:
    while await worker.run_once():
        pass
