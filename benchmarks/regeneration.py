"""How many users' profiles one and two worker processes rewrite, and what the queue costs a job.

Limit of the speed: the extractive generator alone, on histories in memory, in one process; twice
that for two workers. Limit of the overhead: 1 ms a job for claim and finish.
"""

import asyncio
from contextlib import ExitStack
from statistics import median
from time import perf_counter

from benchmarks.histories import cloned_events, rewriting_rate, store, write_profiles
from benchmarks.measurement import Measurement, Target
from benchmarks.stack import Stack
from service.db import claims
from service.db.claims import Job
from service.db.interactions import latest
from service.domain.interaction import Interaction
from service.generators.extractive import write_draft
from service.generators.population import Population
from service.runtime import Runtime, open_generator, open_runtime

PROJECT = "regeneration"
USERS = 300
ROUNDS = 3
OVERHEAD_JOBS = 2_000
OVERHEAD_PROJECT = "regeneration-overhead"


async def measure(stack: Stack) -> list[Measurement]:
    runtime = await open_runtime(stack.settings)
    try:
        await store(runtime, PROJECT, cloned_events(USERS))
        await write_profiles(runtime, open_generator(runtime.settings))
        alone, one, two = [], [], []
        for number in range(ROUNDS):
            alone.append(await _generator_rate(runtime))
            one.append(await _worker_rate(stack, runtime, workers=1, name=f"one-{number}"))
            two.append(await _worker_rate(stack, runtime, workers=2, name=f"two-{number}"))
        overhead = await _overhead_ms(runtime)
    finally:
        await runtime.close()
    return [
        Measurement("regeneration_1_worker", median(one), "users/s", median(alone)),
        Measurement("regeneration_2_workers", median(two), "users/s", 2 * median(alone)),
        Measurement("regeneration_overhead", overhead, "ms/job", 1.0, Target("ratio", "<=", 1)),
    ]


async def _generator_rate(runtime: Runtime) -> float:
    """Users a second of the generator alone, on a sample of the same histories."""
    histories = await _histories(runtime, 50)
    population = Population.empty()
    for history in histories:
        population.observe([], history)
    started = perf_counter()
    for history in histories:
        write_draft(history, population, runtime.settings.profile_tokens)
    return len(histories) / (perf_counter() - started)


async def _histories(runtime: Runtime, users: int) -> list[tuple[Interaction, ...]]:
    async with runtime.database.transaction(PROJECT) as tx:
        return [
            await latest(tx, f"user-{number:05}", revision=2**62, limit=200)
            for number in range(users)
        ]


async def _worker_rate(stack: Stack, runtime: Runtime, *, workers: int, name: str) -> float:
    """Users a second from the commit that asks for all of them to the last profile."""
    with ExitStack() as running:
        for _ in range(workers):
            running.enter_context(stack.worker())
        return await rewriting_rate(runtime, PROJECT, USERS, name)


async def _overhead_ms(runtime: Runtime) -> float:
    """Wall time a job of claiming in batches and finishing one by one, as many at once as a worker.

    Nothing is read or generated in between.
    """
    events = [
        {"user_id": f"user-{number:05}", "event_id": str(event), "text": "Went out."}
        for number in range(OVERHEAD_JOBS)
        for event in range(runtime.settings.min_interactions)
    ]
    await store(runtime, OVERHEAD_PROJECT, events)
    slots = asyncio.Semaphore(runtime.settings.worker_concurrency)
    started, done = perf_counter(), 0
    while jobs := await _claim(runtime):
        await asyncio.gather(*(_finish(runtime, job, slots) for job in jobs))
        done += len(jobs)
    assert done == OVERHEAD_JOBS
    return (perf_counter() - started) * 1000 / done


async def _claim(runtime: Runtime) -> list[Job]:
    settings = runtime.settings
    return await claims.claim(
        runtime.database,
        limit=settings.worker_batch,
        lease=settings.lease,
        debounce=0,
        max_delay=0,
    )


async def _finish(runtime: Runtime, job: Job, slots: asyncio.Semaphore) -> None:
    async with slots, runtime.database.transaction(job.project_id) as tx:
        assert await claims.finish(tx, job, revision=2**62) == "done"
