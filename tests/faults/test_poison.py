"""A history that the generator cannot bear is set aside with a reason, and stops nobody else."""

import asyncio
from pathlib import Path

import pytest

from service.db import regenerations
from service.embedded import EmbeddedServers
from service.runtime import Runtime
from service.worker import Worker
from tests.faults.histories import new_events, select, store_events, user_names
from tests.faults.processes import Processes, eventually, service_environment

OTHERS = 1_000
POISONED = "poisoned"
ATTEMPTS = 5
LEASE_SECONDS = 1.5
PROGRAM = [str(Path(__file__).with_name("poisoned_worker.py"))]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("effect", "reason"),
    [("raise", "ValueError"), ("kill", "AttemptsExhausted"), ("hang", "GenerationTimedOut")],
)
async def test_a_poison_user_is_parked_while_a_thousand_others_proceed(
    effect: str,
    reason: str,
    servers: EmbeddedServers,
    runtime: Runtime,
    worker: Worker,
    processes: Processes,
    project_id: str,
) -> None:
    half = OTHERS // 2
    await _ingest(runtime, project_id, list(user_names(OTHERS))[:half])
    await _ingest(runtime, project_id, [POISONED], f"POISON {effect}")
    await _ingest(runtime, project_id, list(user_names(OTHERS))[half:])
    environment = service_environment(
        servers,
        lease=LEASE_SECONDS,
        max_attempts=ATTEMPTS,
        backoff=0.1,
        generation_timeout=2 * LEASE_SECONDS,
    )
    running = asyncio.create_task(processes.keep_worker_running(environment, PROGRAM))
    await eventually(lambda: _nothing_due(runtime, project_id), 120)
    running.cancel()
    processes.end()  # Else the worker that is still there may be first at what is requeued.
    assert await _left(runtime, project_id) == [(POISONED, reason)]
    assert await _profiled(runtime, project_id) == OTHERS

    async with runtime.database.transaction(project_id) as tx:
        assert await regenerations.requeue_parked(tx, POISONED) == 1
    assert await worker.run_once() == 1  # Its generator finds nothing wrong with the history.
    assert await _profiled(runtime, project_id) == OTHERS + 1


async def _ingest(
    runtime: Runtime, project_id: str, users: list[str], text: str | None = None
) -> None:
    events = new_events(users, "first", per_user=6)
    poisoned = [event | {"text": text} for event in events] if text else events
    await store_events(runtime.database, runtime.cache, project_id, poisoned)


async def _nothing_due(runtime: Runtime, project_id: str) -> bool:
    waiting = "select 1 from regenerations where parked_at is null limit 1"
    return not await select(runtime.database, project_id, waiting)


async def _left(runtime: Runtime, project_id: str) -> list[tuple[str, str | None]]:
    """(user, reason) of every regeneration that is not done, as `bump regenerations` shows it."""
    async with runtime.database.transaction(project_id) as tx:
        records = await regenerations.records(tx, state="all", limit=OTHERS)
    return [(record.user_id, record.last_error) for record in records]


async def _profiled(runtime: Runtime, project_id: str) -> int:
    serving = "select 1 from profiles where status = 'serving'"
    return len(await select(runtime.database, project_id, serving))
