"""Valkey flushed, frozen, killed under readers: no error, right answers, and it recovers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx2
import pytest

from service.cache import Hit
from service.runtime import Runtime, open_runtime
from tests.conftest import make_worker
from tests.faults.histories import new_events, select, store_events, user_names
from tests.faults.private_stack import PrivateStack
from tests.faults.processes import (
    ApiProcess,
    Processes,
    eventually,
    metric,
    service_environment,
)

READERS = 6
USERS = 20
REVISION_TTL_SECONDS = 1
_HITS = 'bump_cache_reads_total{result="hit"}'
_PAST_CACHE = 'bump_cache_reads_total{result="unavailable"}'
_MISSES = 'bump_cache_reads_total{result="miss"}'


@dataclass(slots=True)
class Readers:
    """What readers saw: how many answers were right, and everything else."""

    right: int = 0
    wrong: list[str] = field(default_factory=list)

    def note(self, response: httpx2.Response, revision: int) -> None:
        if response.status_code == 200 and response.json()["revision"] == revision:
            self.right += 1
        else:
            self.wrong.append(f"{response.status_code} {response.text[:200]}")

    async def more(self, count: int) -> None:
        """Wait until `count` more answers have come."""
        target = self.right + count
        await eventually(lambda: self.right >= target or bool(self.wrong), 30)


@pytest.fixture
async def private_runtime(private_stack: PrivateStack) -> AsyncIterator[Runtime]:
    settings = private_stack.settings.model_copy(update={"revision_ttl": REVISION_TTL_SECONDS})
    runtime = await open_runtime(settings)
    yield runtime
    await runtime.close()


@pytest.fixture
async def api(private_stack: PrivateStack, processes: Processes) -> ApiProcess:
    """With the cache time-outs of production, but revisions that leave the cache soon."""
    environment = service_environment(private_stack.servers, revision_ttl=REVISION_TTL_SECONDS)
    return await processes.start_api(environment)


async def test_readers_notice_nothing_of_a_cache_that_fails(
    private_stack: PrivateStack,
    private_runtime: Runtime,
    api: ApiProcess,
    project_id: str,
) -> None:
    key = await private_stack.create_key(project_id)
    await _write_profiles(private_runtime, project_id, "first")
    metrics = f"{api.url}/metrics"
    async with _reading(api.url, key, revision=1) as readers:
        await readers.more(100)
        assert await metric(metrics, _HITS) > 0

        missed = await metric(metrics, _MISSES)
        private_stack.flush_valkey()
        await readers.more(100)
        assert await metric(metrics, _MISSES) >= missed + USERS

        private_stack.freeze_valkey()
        await _until_grown(metrics, _PAST_CACHE, readers)
        await readers.more(50)
        private_stack.thaw_valkey()
        await _until_grown(metrics, _HITS, readers)

        private_stack.kill_valkey()
        await _until_grown(metrics, _PAST_CACHE, readers)
        await readers.more(50)
        private_stack.start_valkey_again()
        await _until_grown(metrics, _HITS, readers)
    assert readers.wrong == []


async def test_a_profile_written_while_the_cache_hangs_is_served_soon_after(
    private_stack: PrivateStack,
    private_runtime: Runtime,
    api: ApiProcess,
    project_id: str,
) -> None:
    key = await private_stack.create_key(project_id)
    await _write_profiles(private_runtime, project_id, "first")
    async with _client(api.url, key) as client:
        assert await _revision(client) == 1
        private_stack.freeze_valkey()
        try:
            await _write_profiles(private_runtime, project_id, "second")
            await eventually(lambda: _serves(client, 2), 10)
        finally:
            private_stack.thaw_valkey()
        # The cache may still hold the first version, but only as long as it holds its revision.
        await eventually(lambda: _is_cached(client, private_runtime, project_id, 2), 10)
        assert await _revision(client) == 2


async def _write_profiles(runtime: Runtime, project_id: str, name: str) -> None:
    events = new_events(list(user_names(USERS)), name, per_user=6)
    await store_events(runtime.database, runtime.cache, project_id, events)
    worker = make_worker(runtime)
    while await worker.run_once():
        pass
    rows = await select(
        runtime.database, project_id, "select 1 from profiles where status = 'serving'"
    )
    assert len(rows) == USERS


@asynccontextmanager
async def _reading(url: str, key: str, *, revision: int) -> AsyncIterator[Readers]:
    """Readers at work for the length of the block, who expect profiles of `revision`."""
    readers, stop = Readers(), asyncio.Event()

    async def read(offset: int) -> None:
        users = list(user_names(USERS))
        async with _client(url, key) as client:
            while not stop.is_set():
                user_id = users[offset % USERS]
                offset += 1
                readers.note(await client.get(f"/v1/users/{user_id}/profile"), revision)

    async with asyncio.TaskGroup() as group:
        for number in range(READERS):
            group.create_task(read(number * 3))
        try:
            yield readers
        finally:
            stop.set()


async def _until_grown(metrics: str, name: str, readers: Readers) -> None:
    before = await metric(metrics, name)

    async def grown() -> bool:
        return bool(readers.wrong) or await metric(metrics, name) > before

    await eventually(grown, 20)


async def _serves(client: httpx2.AsyncClient, revision: int) -> bool:
    return await _revision(client) == revision


async def _is_cached(
    client: httpx2.AsyncClient, runtime: Runtime, project_id: str, revision: int
) -> bool:
    await _revision(client)  # Fills the cache where it holds nothing.
    answer = await runtime.cache.read(project_id, "user-000")
    return isinstance(answer, Hit) and answer.entry.revision == revision


async def _revision(client: httpx2.AsyncClient) -> int:
    response = await client.get("/v1/users/user-000/profile")
    assert response.status_code == 200, response.text
    return int(response.json()["revision"])


def _client(url: str, key: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=20, trust_env=False
    )
