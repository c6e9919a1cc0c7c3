"""SIGTERM: the API says so first and sees its requests through; a worker gives its jobs back."""

import asyncio
import signal

import httpx2

from service.embedded import EmbeddedServers
from service.runtime import Runtime
from service.worker import Worker
from tests.conftest import ApiKeyMaker
from tests.faults.histories import new_events, select, store_events, user_names
from tests.faults.processes import (
    ApiProcess,
    Processes,
    eventually,
    readiness,
    service_environment,
)

USERS = 100
DRAIN_DELAY_SECONDS = 2


async def test_an_api_that_drains_says_so_and_answers_what_it_has_begun(
    servers: EmbeddedServers,
    runtime: Runtime,
    worker: Worker,
    processes: Processes,
    make_key: ApiKeyMaker,
    project_id: str,
) -> None:
    api = await processes.start_api(service_environment(servers, drain_delay=DRAIN_DELAY_SECONDS))
    await _ingest(runtime, project_id, ["walker"])
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(_read_own_writes(api, await make_key(), wait=20))
        await eventually(lambda: _asked_for(runtime, project_id), 10)
        api.terminate()
        await eventually(lambda: readiness(api.url) == 503, DRAIN_DELAY_SECONDS)
        await eventually(lambda: readiness(api.url) is None, 10)
        assert not waiting.done()
        await eventually(lambda: _worked(worker), 10)
    assert waiting.result().status_code == 200
    assert waiting.result().json()["revision"] == 1
    assert await api.exit_status() in (0, -signal.SIGTERM)


async def test_a_request_that_outlasts_the_drain_does_not_keep_the_api(
    servers: EmbeddedServers,
    runtime: Runtime,
    processes: Processes,
    make_key: ApiKeyMaker,
    project_id: str,
) -> None:
    environment = service_environment(servers, drain_delay=0, drain_timeout=1)
    api = await processes.start_api(environment)
    await _ingest(runtime, project_id, ["walker"])
    waiting = asyncio.create_task(_read_own_writes(api, await make_key(), wait=30))
    await eventually(lambda: _asked_for(runtime, project_id), 10)
    api.terminate()
    await eventually(lambda: not api.running, 10)
    outcome = (await asyncio.gather(waiting, return_exceptions=True))[0]
    assert not isinstance(outcome, httpx2.Response) or outcome.status_code >= 500


async def test_a_worker_that_drains_gives_back_what_it_has_not_begun(
    servers: EmbeddedServers, runtime: Runtime, processes: Processes, project_id: str
) -> None:
    environment = service_environment(servers, worker_batch=USERS, worker_concurrency=1)
    worker = await processes.start_worker(environment)
    await _ingest(runtime, project_id, list(user_names(USERS)))
    await eventually(lambda: _profile_written(runtime, project_id), 10)
    worker.terminate()
    assert await worker.exit_status() == 0
    left = await select(
        runtime.database,
        project_id,
        "select lease_token, attempts, due_at <= now() as due from regenerations",
    )
    assert left, "the worker was done before it was told to stop"
    assert {(row.lease_token, row.attempts, row.due) for row in left} == {(None, 0, True)}


async def _read_own_writes(api: ApiProcess, key: str, *, wait: int) -> httpx2.Response:
    async with httpx2.AsyncClient(timeout=40, trust_env=False) as client:
        return await client.get(
            f"{api.url}/v1/users/walker/profile",
            params={"min_revision": 1, "wait": wait},
            headers={"Authorization": f"Bearer {key}"},
        )


async def _worked(worker: Worker) -> bool:
    return await worker.run_once() > 0


async def _asked_for(runtime: Runtime, project_id: str) -> bool:
    """Whether a reader waits: asking makes the regeneration urgent."""
    rows = await select(
        runtime.database, project_id, "select 1 from regenerations where priority = 0"
    )
    return bool(rows)


async def _profile_written(runtime: Runtime, project_id: str) -> bool:
    return bool(await select(runtime.database, project_id, "select 1 from profiles limit 1"))


async def _ingest(runtime: Runtime, project_id: str, users: list[str]) -> None:
    events = new_events(users, "first", per_user=6)
    await store_events(runtime.database, runtime.cache, project_id, events)
