"""One user who does a hundred things a second: few profiles for it, and nobody else notices."""

import asyncio
import time

import httpx2
import pytest

from service.embedded import EmbeddedServers
from service.runtime import Runtime
from tests.conftest import ApiKeyMaker
from tests.faults.histories import (
    api_client,
    check_profiles,
    new_events,
    retrying_writers,
    select,
    until_worked_off,
    user_names,
)
from tests.faults.processes import Processes, service_environment

HOT = "hot"
EVENTS = 1_000
SECONDS = 10
DEBOUNCE_SECONDS = 10
MAX_DELAY_SECONDS = 120
MAX_REGENERATIONS = 2


@pytest.mark.slow
async def test_a_thousand_events_in_ten_seconds_are_two_regenerations_at_most(
    servers: EmbeddedServers,
    runtime: Runtime,
    processes: Processes,
    make_key: ApiKeyMaker,
    project_id: str,
) -> None:
    environment = service_environment(
        servers, debounce=DEBOUNCE_SECONDS, max_delay=MAX_DELAY_SECONDS
    )
    api, _ = await asyncio.gather(
        processes.start_api(environment), processes.start_worker(environment)
    )
    key = await make_key()
    async with (
        retrying_writers(api.url, key, 2, list(user_names(10))) as others,
        api_client(api.url, key) as client,
    ):
        statuses = await _post_at_an_even_pace(client)
    assert statuses == {200}
    assert set(others.answers) == {200}
    await until_worked_off(runtime.database, project_id, seconds=DEBOUNCE_SECONDS + 30)
    await check_profiles(runtime.database, project_id)
    written = await select(
        runtime.database, project_id, "select 1 from profiles where user_id = :hot", hot=HOT
    )
    assert 1 <= len(written) <= MAX_REGENERATIONS


async def _post_at_an_even_pace(client: httpx2.AsyncClient) -> set[int]:
    """Post the events one by one, on time whether earlier ones are answered or not."""
    started = time.monotonic()
    posts = []
    for number, event in enumerate(new_events([HOT], "hot", per_user=EVENTS)):
        due = started + number * SECONDS / EVENTS
        await asyncio.sleep(due - time.monotonic())
        posts.append(asyncio.create_task(client.post("/v1/interactions", json=event)))
    return {response.status_code for response in await asyncio.gather(*posts)}
