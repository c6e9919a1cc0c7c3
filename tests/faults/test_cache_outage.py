"""Valkey flushed, frozen, killed under load: no error, right answers, and it recovers."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from service.cache import Hit
from service.runtime import Runtime, open_runtime
from tests.faults.histories import api_client, retrying_writers
from tests.faults.private_stack import PrivateStack
from tests.faults.processes import (
    ApiProcess,
    Processes,
    eventually,
    metric,
    service_environment,
)
from tests.faults.readers import USERS, reading, write_profiles

pytestmark = pytest.mark.slow

WRITERS = 2
WRITTEN = [f"writer-{number}" for number in range(6)]
REVISION_TTL_SECONDS = 1
_HITS = 'bump_cache_reads_total{result="hit"}'
_PAST_CACHE = 'bump_cache_reads_total{result="unavailable"}'
_MISSES = 'bump_cache_reads_total{result="miss"}'


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


async def test_readers_and_writers_notice_nothing_of_a_cache_that_fails(
    private_stack: PrivateStack,
    private_runtime: Runtime,
    api: ApiProcess,
    project_id: str,
) -> None:
    key = await private_stack.create_key(project_id)
    await write_profiles(private_runtime, project_id, "first")
    metrics = f"{api.url}/metrics"
    async with (
        retrying_writers(api.url, key, WRITERS, WRITTEN) as ledger,
        reading(api.url, key, revision=1) as readers,
    ):
        await readers.more(100)
        assert await metric(metrics, _HITS) > 0

        missed = await metric(metrics, _MISSES)
        private_stack.flush_valkey()
        await readers.more(100)
        assert await metric(metrics, _MISSES) >= missed + USERS

        private_stack.freeze_valkey()
        await readers.until_grown(metrics, _PAST_CACHE)
        await readers.more(50)
        private_stack.thaw_valkey()
        await readers.until_grown(metrics, _HITS)

        private_stack.kill_valkey()
        await readers.until_grown(metrics, _PAST_CACHE)
        await readers.more(50)
        private_stack.start_valkey_again()
        await readers.until_grown(metrics, _HITS)
    assert readers.wrong == []
    assert set(ledger.answers) == {200}


async def test_a_profile_written_while_the_cache_hangs_is_served_soon_after(
    private_stack: PrivateStack,
    private_runtime: Runtime,
    api: ApiProcess,
    project_id: str,
) -> None:
    key = await private_stack.create_key(project_id)
    await write_profiles(private_runtime, project_id, "first")
    async with api_client(api.url, key) as client:
        assert await _revision(client) == 1
        private_stack.freeze_valkey()
        try:
            await write_profiles(private_runtime, project_id, "second")
            await eventually(lambda: _serves(client, 2), 10)
        finally:
            private_stack.thaw_valkey()
        # The cache may still hold the first version, but only as long as it holds its revision.
        await eventually(lambda: _is_cached(client, private_runtime, project_id, 2), 10)
        assert await _revision(client) == 2


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
