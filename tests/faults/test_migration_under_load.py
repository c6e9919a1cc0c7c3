"""A migration while the service is used: nobody gets an error, old and new code run together."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import httpx2
import pytest

from service.runtime import Runtime, open_runtime
from tests.embedded_stacks import connect
from tests.faults.histories import api_client, new_events, select
from tests.faults.next_release import NEXT_REVISION, make_next_release
from tests.faults.private_stack import PrivateStack
from tests.faults.processes import Processes, eventually, service_environment
from tests.faults.readers import USERS, write_profiles

pytestmark = pytest.mark.slow

CLIENTS = 31  # Prime, so that each of them does everything.
REQUESTS_PER_SECOND = 200
ANSWERS_BETWEEN_STEPS = 150
EVENTS_A_POST = 2


class SteadyLoad:
    """Clients who read and write at a steady rate, each waiting for its last answer first."""

    def __init__(self, url: str, client: httpx2.AsyncClient) -> None:
        self.urls = [url]
        self.answers: Counter[int] = Counter()
        self.acked_events = 0
        self._client = client

    async def more(self) -> None:
        target = self.answers.total() + ANSWERS_BETWEEN_STEPS
        await eventually(lambda: self.answers.total() >= target, 30)

    async def send_until(self, stop: asyncio.Event, first: int) -> None:
        """Every CLIENTS-th request, from number `first` on, at its time or as soon as may be."""
        clock = asyncio.get_running_loop().time
        started = clock()
        for number in count(first, CLIENTS):
            await asyncio.sleep(max(0, started + number / REQUESTS_PER_SECOND - clock()))
            if stop.is_set():
                return
            await self._send(number)

    async def _send(self, number: int) -> None:
        client, url = self._client, self.urls[number % len(self.urls)]
        user_id = f"user-{number % USERS:03}"
        if number % 3 == 0:
            events = new_events([user_id], f"load-{number}", per_user=EVENTS_A_POST)
            answer = await client.post(f"{url}/v1/interactions", json={"interactions": events})
            self.acked_events += EVENTS_A_POST * (answer.status_code == 200)
        elif number % 3 == 1:
            answer = await client.get(f"{url}/v1/users/{user_id}/profile")
        else:
            answer = await client.get(f"{url}/v1/users/{user_id}/interactions?limit=5")
        self.answers[answer.status_code] += 1


@asynccontextmanager
async def steady_load(url: str, key: str) -> AsyncIterator[SteadyLoad]:
    """A load for the length of the block; more processes may join its `urls`."""
    stop = asyncio.Event()
    async with api_client("", key) as client, asyncio.TaskGroup() as group:
        load = SteadyLoad(url, client)
        for first in range(CLIENTS):
            group.create_task(load.send_until(stop, first))
        try:
            yield load
        finally:
            stop.set()


@pytest.fixture
async def private_runtime(private_stack: PrivateStack) -> AsyncIterator[Runtime]:
    runtime = await open_runtime(private_stack.settings)
    yield runtime
    await runtime.close()


@pytest.fixture
def this_release(private_stack: PrivateStack) -> dict[str, str]:
    return service_environment(
        private_stack.servers, database_admin_url=private_stack.servers.admin_url
    )


@pytest.fixture
def next_release(this_release: dict[str, str], tmp_path: Path) -> dict[str, str]:
    return this_release | make_next_release(tmp_path / "next")


async def test_nobody_gets_an_error_while_the_schema_and_then_the_code_change(
    private_stack: PrivateStack,
    private_runtime: Runtime,
    processes: Processes,
    project_id: str,
    this_release: dict[str, str],
    next_release: dict[str, str],
) -> None:
    await write_profiles(private_runtime, project_id, "first")
    old = await processes.start_api(this_release)
    async with steady_load(old.url, await private_stack.create_key(project_id)) as load:
        await load.more()
        too_early = processes.launch("worker", environment=next_release)
        assert await too_early.exit_status() > 0
        assert f"this version needs {NEXT_REVISION}: run `bump migrate`" in too_early.log()

        migration = processes.launch("migrate", environment=next_release)
        assert await migration.exit_status() == 0, migration.log()
        await load.more()
        new = await processes.start_api(next_release)
        load.urls.append(new.url)
        await load.more()
    assert set(load.answers) == {200}
    assert await _schema_revision(private_runtime, project_id) == NEXT_REVISION
    assert await _stored_events(private_runtime, project_id) == load.acked_events


async def test_a_migration_that_is_blocked_gives_way_and_can_be_run_again(
    private_stack: PrivateStack,
    private_runtime: Runtime,
    processes: Processes,
    project_id: str,
    this_release: dict[str, str],
    next_release: dict[str, str],
) -> None:
    await write_profiles(private_runtime, project_id, "first")
    api = await processes.start_api(this_release)
    report = await connect(private_stack.servers.admin_url)
    async with steady_load(api.url, await private_stack.create_key(project_id)) as load:
        await load.more()
        async with report.transaction():
            await report.execute("lock table users in access share mode")
            blocked = processes.launch("migrate", environment=next_release)
            assert await blocked.exit_status() > 0
            assert "run `bump migrate` again" in blocked.log()
        await load.more()
        again = processes.launch("migrate", environment=next_release)
        assert await again.exit_status() == 0, again.log()
    await report.close()
    assert set(load.answers) == {200}
    assert await _schema_revision(private_runtime, project_id) == NEXT_REVISION


async def _schema_revision(runtime: Runtime, project_id: str) -> str:
    rows = await select(runtime.database, project_id, "select version_num from alembic_version")
    return str(rows[0].version_num)


async def _stored_events(runtime: Runtime, project_id: str) -> int:
    rows = await select(
        runtime.database,
        project_id,
        "select count(*) from interactions where event_id like 'load-%'",
    )
    return int(rows[0][0])
