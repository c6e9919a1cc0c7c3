"""`kill -9` of Postgres under writers: the API says when to come back, and needs no restart."""

import asyncio
from uuid import uuid4

import pytest

from service.commands.migrate import migrate
from service.config import Settings
from service.db.session import open_database
from service.embedded import EmbeddedServers
from tests.embedded_stacks import query
from tests.faults.histories import Ledger, check_histories, retrying_writers, user_names
from tests.faults.private_stack import PrivateStack
from tests.faults.processes import Processes, eventually, service_environment

pytestmark = pytest.mark.slow

WRITERS = 16
KILLS = 3
ACKS_BETWEEN_KILLS = 200
RECOVERY_SECONDS = 5


async def test_a_postgres_killed_under_writers_loses_nothing_acknowledged(
    private_stack: PrivateStack, processes: Processes, project_id: str
) -> None:
    key = await private_stack.create_key(project_id)
    api = await processes.start_api(service_environment(private_stack.servers))
    async with retrying_writers(api.url, key, WRITERS, list(user_names(12))) as ledger:
        for _ in range(KILLS):
            await _acks(ledger)
            refused = ledger.answers[503]
            private_stack.kill_postgres()
            await eventually(lambda refused=refused: ledger.answers[503] >= refused + WRITERS, 30)
            accepted = ledger.answers[200]
            await private_stack.restart()
            await eventually(
                lambda accepted=accepted: ledger.answers[200] > accepted, RECOVERY_SECONDS
            )
        await _acks(ledger)

    assert set(ledger.answers) == {200, 503}
    assert ledger.without_advice == 0
    assert api.running
    database = open_database(private_stack.servers.app_url, pool_size=2)
    try:
        await check_histories(database, project_id, ledger)
    finally:
        await database.close()


@pytest.fixture
async def careless_url(settings: Settings, servers: EmbeddedServers) -> str:
    """Of an application role whose commits return before they are on disk."""
    role = f"r{uuid4().hex[:8]}"
    url = f"postgresql+asyncpg://{role}:secret@{servers.app_url.partition('@')[2]}"
    await asyncio.to_thread(migrate, servers.admin_url, url)
    await query(servers.admin_url, f"alter role {role} set synchronous_commit = off")
    return url


@pytest.mark.parametrize("command", ["serve", "worker"])
async def test_no_process_starts_where_a_commit_may_be_lost(
    servers: EmbeddedServers, processes: Processes, careless_url: str, command: str
) -> None:
    process = processes.launch(
        command, environment=service_environment(servers, database_url=careless_url)
    )
    assert await process.exit_status() > 0
    assert "synchronous_commit = off" in process.log()


async def _acks(ledger: Ledger) -> None:
    target = len(ledger.acked) + ACKS_BETWEEN_KILLS
    await eventually(lambda: len(ledger.acked) >= target, 30)
