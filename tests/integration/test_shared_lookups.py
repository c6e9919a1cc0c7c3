"""Reads of Postgres that share a transaction: all readers get their own user's profile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from service.db.session import Database, Transaction, open_database
from service.errors import DatabaseUnavailable
from service.flows.erase import set_profiling
from service.flows.shared_lookups import SharedLookups
from service.runtime import Runtime
from service.worker import Worker
from tests.counting_database import CountingDatabase
from tests.faults.processes import eventually
from tests.histories import Add, event, events
from tests.valkey_server import free_port


class _EndsTogether(Database):
    """Another database, whose transactions are over when `end` is set, all in one loop tick."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.ending = 0
        self.end = asyncio.Event()

    @asynccontextmanager
    async def transaction(self, project_id: str) -> AsyncIterator[Transaction]:
        async with self._database.transaction(project_id) as tx:
            yield tx
        self.ending += 1
        await self.end.wait()


pytestmark = pytest.mark.usefixtures("quiet_queue")


async def test_who_asks_at_the_same_time_shares_a_transaction(
    add: Add, worker: Worker, runtime: Runtime, project_id: str
) -> None:
    users = [f"u{number}" for number in range(20)]
    await add([one for user_id in users for one in events(user_id)])
    await worker.run_once()
    await add([event("u7", 9)])
    counting = CountingDatabase(runtime.database)
    lookups = SharedLookups(counting)
    found = await asyncio.gather(*(lookups.find(project_id, user_id) for user_id in users))
    assert counting.transactions == 1
    assert [answer and answer[0].user_id for answer in found] == users
    assert [answer and answer[1] for answer in found] == [1] * 7 + [2] + [1] * 12


async def test_who_has_no_profile_or_objected_to_one_gets_none(
    add: Add, worker: Worker, runtime: Runtime, project_id: str, elsewhere: str
) -> None:
    await add(events("served") + events("paused") + events("new", range(3)))
    await worker.run_once()
    await set_profiling(runtime.database, runtime.cache, project_id, "paused", "paused", 5)
    lookups = SharedLookups(runtime.database)
    asked = [(project_id, name) for name in ("served", "paused", "new", "nobody")]
    asked.append((elsewhere, "served"))
    found = await asyncio.gather(*(lookups.find(*user) for user in asked))
    assert [answer is not None for answer in found] == [True, False, False, False, False]


async def test_who_asks_as_all_that_run_end_is_not_forgotten(
    runtime: Runtime, project_id: str
) -> None:
    database = _EndsTogether(runtime.database)
    lookups = SharedLookups(database)
    running = []
    for number in range(4):
        running.append(asyncio.create_task(lookups.find(project_id, f"u{number}")))
        await eventually(lambda: database.ending == len(running), 10)
    database.end.set()
    late = asyncio.create_task(lookups.find(project_id, "late"))
    assert await asyncio.wait_for(asyncio.gather(*running, late), 10) == [None] * 5


async def test_a_failure_reaches_everyone_who_waits(project_id: str) -> None:
    database = open_database(
        f"postgresql+asyncpg://nobody:secret@127.0.0.1:{free_port()}/none", pool_size=1
    )
    lookups = SharedLookups(database)
    found = await asyncio.gather(
        *(lookups.find(project_id, f"u{number}") for number in range(5)), return_exceptions=True
    )
    assert [type(answer) for answer in found] == [DatabaseUnavailable] * 5
    await database.close()
