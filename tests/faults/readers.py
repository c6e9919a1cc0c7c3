"""Readers of profiles, who take nothing but the right profile for an answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx2

from service.runtime import Runtime
from tests.conftest import make_worker
from tests.faults.histories import api_client, new_events, select, store_events, user_names
from tests.faults.processes import eventually, metric

READERS = 6
USERS = 20


@dataclass(slots=True)
class Readers:
    """What readers saw: how many answers were right, and everything else."""

    right: int = 0
    wrong: list[str] = field(default_factory=list)

    def note(self, response: httpx2.Response, user_id: str, revision: int) -> None:
        if response.status_code == 200:
            profile = response.json()
            if (profile["user_id"], profile["revision"]) == (user_id, revision):
                self.right += 1
                return
        self.wrong.append(f"{user_id}: {response.status_code} {response.text[:200]}")

    async def more(self, count: int) -> None:
        """Wait until `count` more answers have come."""
        target = self.right + count
        await eventually(lambda: self.right >= target or bool(self.wrong), 30)

    async def until_grown(self, metrics: str, name: str) -> None:
        """Wait until the sample `name` at the URL `metrics` has grown, or an answer was wrong."""
        before = await metric(metrics, name)

        async def grown() -> bool:
            return bool(self.wrong) or await metric(metrics, name) > before

        await eventually(grown, 20)


@asynccontextmanager
async def reading(url: str, key: str, *, revision: int) -> AsyncIterator[Readers]:
    """READERS at work for the length of the block, who expect profiles of `revision`."""
    readers, stop = Readers(), asyncio.Event()

    async def read(offset: int) -> None:
        users = list(user_names(USERS))
        async with api_client(url, key) as client:
            while not stop.is_set():
                user_id = users[offset % USERS]
                offset += 1
                readers.note(await client.get(f"/v1/users/{user_id}/profile"), user_id, revision)

    async with asyncio.TaskGroup() as group:
        for number in range(READERS):
            group.create_task(read(number * 3))
        try:
            yield readers
        finally:
            stop.set()


async def write_profiles(runtime: Runtime, project_id: str, name: str) -> None:
    """Give USERS users more events, and a profile that has read them."""
    events = new_events(list(user_names(USERS)), name, per_user=6)
    await store_events(runtime.database, runtime.cache, project_id, events)
    worker = make_worker(runtime)
    while await worker.run_once():
        pass
    rows = await select(
        runtime.database, project_id, "select 1 from profiles where status = 'serving'"
    )
    assert len(rows) == USERS
