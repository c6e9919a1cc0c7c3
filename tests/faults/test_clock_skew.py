"""Workers whose clocks are a day ahead and a day behind: all times are the database's."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.embedded import EmbeddedServers
from service.runtime import Runtime
from tests.faults.histories import check_profiles, new_events, select, store_events, user_names
from tests.faults.processes import (
    Processes,
    WorkerProcess,
    eventually,
    metric,
    service_environment,
)

pytestmark = pytest.mark.slow

USERS = 100
DAY_SECONDS = 86_400
DEBOUNCE_SECONDS = 2
# No debounce, lease or backoff of this test is as long.
LONGEST_SECONDS = 30
_HERE = Path(__file__).parent
_FAR_FROM_NOW = f"""
select 1 from regenerations
where due_at <> 'infinity' and abs(extract(epoch from due_at - now())) > {LONGEST_SECONDS}
"""
_PARKED_JUST_NOW = f"""
select 1 from regenerations
where attempts = 3 and abs(extract(epoch from now() - parked_at)) < {LONGEST_SECONDS}
"""
_AT_THE_WRONG_TIME = f"""
select 1 from profiles p
join (
    select user_id, max(received_at) as last_event_at from interactions group by user_id
) i using (user_id)
where p.created_at < i.last_event_at + interval '{DEBOUNCE_SECONDS} s' or p.created_at > now()
"""


async def test_workers_with_wrong_clocks_keep_to_the_databases(
    servers: EmbeddedServers, runtime: Runtime, processes: Processes, project_id: str
) -> None:
    poisoned_project = f"{project_id}-poisoned"
    environment = service_environment(
        servers, debounce=DEBOUNCE_SECONDS, max_delay=10, lease=3, backoff=0.5, max_attempts=3
    )
    ahead, behind = await asyncio.gather(
        *(_start(processes, environment, seconds) for seconds in (DAY_SECONDS, -DAY_SECONDS))
    )
    await _ingest(runtime, project_id, list(user_names(USERS)))
    await _ingest(runtime, poisoned_project, ["anyone"], "POISON raise")

    async def done() -> bool:
        for project in (project_id, poisoned_project):
            assert not await select(runtime.database, project, _FAR_FROM_NOW)
        waiting = await select(runtime.database, project_id, "select 1 from regenerations")
        parked = await select(runtime.database, poisoned_project, _PARKED_JUST_NOW)
        return not waiting and bool(parked)

    await eventually(done, 60)
    await check_profiles(runtime.database, project_id)
    assert not await select(runtime.database, project_id, _AT_THE_WRONG_TIME)
    assert (_days_off(ahead), _days_off(behind)) == (1, -1)
    assert DEBOUNCE_SECONDS <= await _mean_freshness_lag(ahead, behind) < LONGEST_SECONDS


async def _start(processes: Processes, environment: dict[str, str], seconds: int) -> WorkerProcess:
    skewed, poisoned = _HERE / "skewed_clock.py", _HERE / "poisoned_worker.py"
    return await processes.start_worker(environment, [str(skewed), str(seconds), str(poisoned)])


async def _ingest(
    runtime: Runtime, project_id: str, users: list[str], text: str | None = None
) -> None:
    events = new_events(users, "first", per_user=6)
    worded = [event | {"text": text} for event in events] if text else events
    await store_events(runtime.database, runtime.cache, project_id, worded)


def _days_off(worker: WorkerProcess) -> int:
    """How far its clock is from ours, by the first line that it logged."""
    written_at = datetime.fromisoformat(json.loads(worker.log().splitlines()[0])["timestamp"])
    return round((written_at - datetime.now(UTC)) / timedelta(days=1))


async def _mean_freshness_lag(*workers: WorkerProcess) -> float:
    totals = []
    for part in ("sum", "count"):
        name = f"bump_freshness_lag_seconds_{part}"
        totals.append(sum([await metric(worker.metrics_url, name) for worker in workers]))
    return totals[0] / totals[1]
