"""A worker frozen past its lease: another takes over, and what the first writes late is refused."""

from service.cache import Hit
from service.embedded import EmbeddedServers
from service.errors import DatabaseUnavailable
from service.runtime import Runtime
from tests.faults.histories import (
    check_profiles,
    new_events,
    select,
    store_events,
    until_worked_off,
    user_names,
)
from tests.faults.processes import (
    Processes,
    WorkerProcess,
    eventually,
    metric,
    service_environment,
)

USERS = 60
LEASE_SECONDS = 1.5
_LOST = 'bump_regeneration_seconds_count{generator="extractive",outcome="lost"}'


async def test_what_a_frozen_worker_writes_late_is_refused(
    servers: EmbeddedServers, runtime: Runtime, processes: Processes, project_id: str
) -> None:
    environment = service_environment(servers, lease=LEASE_SECONDS, worker_batch=USERS)
    users = list(user_names(USERS))
    frozen = await processes.start_worker(environment)
    held = await _freeze_with_leases(frozen, runtime, project_id, users)

    await _ingest(runtime, project_id, users, "meanwhile")
    await processes.start_worker(environment)
    await until_worked_off(runtime.database, project_id, seconds=20)
    before = await _versions(runtime, project_id)

    frozen.thaw()

    async def refused() -> bool:
        return await metric(frozen.metrics_url, _LOST) >= len(held)

    await eventually(refused, 20)
    assert await _versions(runtime, project_id) == before
    await check_profiles(runtime.database, project_id)
    for user_id in held:
        answer = await runtime.cache.read(project_id, user_id)
        assert isinstance(answer, Hit)
        assert (answer.entry.version, answer.entry.revision) == before[user_id][-1]


async def _freeze_with_leases(
    worker: WorkerProcess, runtime: Runtime, project_id: str, users: list[str]
) -> list[str]:
    """Freeze the worker while it holds leases, and no lock that would block the others.

    Returns the users whose jobs it holds. Events come until that succeeds.
    """
    for attempt in range(50):
        await _ingest(runtime, project_id, users, f"attempt-{attempt}")
        for _ in range(500):
            if await _leased(runtime, project_id):
                break
        worker.freeze()
        held = await _leased(runtime, project_id)
        if held and await _unlocked(runtime, project_id):
            return held
        worker.thaw()
        await until_worked_off(runtime.database, project_id, seconds=20)
    raise AssertionError("the worker was never caught with leases and without locks")


async def _unlocked(runtime: Runtime, project_id: str) -> bool:
    try:
        await select(runtime.database, project_id, "select 1 from users for update nowait")
    except DatabaseUnavailable:
        return False
    return True


async def _leased(runtime: Runtime, project_id: str) -> list[str]:
    rows = await select(
        runtime.database,
        project_id,
        "select user_id from regenerations where lease_token is not null order by user_id",
    )
    return [row.user_id for row in rows]


async def _versions(runtime: Runtime, project_id: str) -> dict[str, list[tuple[int, int]]]:
    """(version, revision) of every profile by user, oldest first."""
    rows = await select(
        runtime.database,
        project_id,
        "select user_id, version, revision from profiles order by user_id, version",
    )
    found: dict[str, list[tuple[int, int]]] = {}
    for row in rows:
        found.setdefault(row.user_id, []).append((row.version, row.revision))
    return found


async def _ingest(runtime: Runtime, project_id: str, users: list[str], name: str) -> None:
    events = new_events(users, name, per_user=6)
    await store_events(runtime.database, runtime.cache, project_id, events)
