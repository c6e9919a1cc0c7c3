"""The pool: who waits for a connection gets one in turn."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from service.db.session import Database, open_database
from service.embedded import EmbeddedServers


@pytest.fixture
async def single_connection(servers: EmbeddedServers) -> AsyncIterator[Database]:
    database = open_database(servers.app_url, pool_size=1)
    yield database
    await database.close()


async def test_transactions_get_their_connection_in_the_order_of_arrival(
    single_connection: Database,
) -> None:
    served: list[str] = []

    async def work(name: str, times: int) -> None:
        for _ in range(times):
            async with single_connection.across_projects():
                served.append(name)

    async with asyncio.TaskGroup() as group:
        for name in ("first", "second", "third"):
            group.create_task(work(name, times=20))
        group.create_task(work("guest", times=1))
    assert served[:5] == ["first", "second", "third", "guest", "first"]
