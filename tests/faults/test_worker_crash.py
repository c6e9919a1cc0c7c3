"""`kill -9` of workers at random moments: every user gets one profile of the newest revision."""

import asyncio
import random
import secrets

import pytest

from service.embedded import EmbeddedServers
from service.runtime import Runtime
from tests.faults.histories import (
    check_profiles,
    new_events,
    select,
    store_events,
    until_worked_off,
    user_names,
)
from tests.faults.processes import Processes, eventually, service_environment

pytestmark = pytest.mark.slow

USERS = 150
KILLS = 3


async def test_killing_workers_leaves_one_profile_a_revision(
    servers: EmbeddedServers, runtime: Runtime, processes: Processes, project_id: str
) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 - pytest shows it when the test fails
    chance = random.Random(seed)
    users = list(user_names(USERS))
    # Short leases, so that the next worker need not wait long; many attempts, for every kill
    # costs the jobs that it hit one.
    environment = service_environment(servers, lease=1.0, worker_batch=20, max_attempts=20)
    await _ingest(runtime, project_id, users, "first", per_user=6)

    workers = list(await asyncio.gather(*(processes.start_worker(environment) for _ in range(2))))
    for kill in range(KILLS):
        await _ingest(runtime, project_id, chance.sample(users, 100), f"more-{kill}", per_user=1)
        await _until_at_work(runtime, project_id, further=chance.randrange(60))
        workers.pop(chance.randrange(2)).kill()
        workers.append(await processes.start_worker(environment))

    await until_worked_off(runtime.database, project_id, seconds=30)
    await check_profiles(runtime.database, project_id)


async def _ingest(
    runtime: Runtime, project_id: str, users: list[str], name: str, *, per_user: int
) -> None:
    events = new_events(users, name, per_user=per_user)
    await store_events(runtime.database, runtime.cache, project_id, events)


async def _until_at_work(runtime: Runtime, project_id: str, *, further: int) -> None:
    """Wait for `further` profiles, and then for a moment at which jobs are leased."""
    target = await _count(runtime, project_id, "profiles") + further

    async def at_work() -> bool:
        leased = await _count(runtime, project_id, "regenerations where lease_token is not null")
        return leased > 0 and await _count(runtime, project_id, "profiles") >= target

    await eventually(at_work, 30)


async def _count(runtime: Runtime, project_id: str, what: str) -> int:
    rows = await select(runtime.database, project_id, f"select count(*) from {what}")
    return int(rows[0][0])
