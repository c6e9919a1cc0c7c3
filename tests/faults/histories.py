"""What clients were promised, and whether the database keeps it.

A writer sends every batch again, with the same event ids, until it is acknowledged, and notes it in
a ledger. `check_histories` and `check_profiles` hold the tables against the ledger afterwards.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import httpx2
from sqlalchemy import text

from service.cache import ProfileCache
from service.db.interactions import NewInteraction, RegenerationPolicy
from service.db.session import Database
from service.flows.ingest import ingest
from tests.faults.processes import eventually

MIN_INTERACTIONS = 5
RETRY_SECONDS = 0.02
_SUBJECTS = ("hill walking", "sourdough bread", "chess openings", "steam trains", "jazz records")
_PLACES = ("Lisbon", "Tromsø", "Kyoto", "Bergamo", "Galway", "Ghent", "Valparaíso")

Event = dict[str, Any]
EventKey = tuple[str, str]


@dataclass(slots=True)
class Ledger:
    """What was sent and acknowledged. Keys are (user_id, event_id); batches hold new events only.

    `answers` counts what the server said by status; `without_advice` counts the 503 answers that
    did not say when to come back.
    """

    sent: set[EventKey] = field(default_factory=set)
    acked: set[EventKey] = field(default_factory=set)
    batches: Counter[str] = field(default_factory=Counter)
    answers: Counter[int] = field(default_factory=Counter)
    without_advice: int = 0

    def note_answer(self, response: httpx2.Response) -> None:
        self.answers[response.status_code] += 1
        self.without_advice += response.status_code == 503 and not response.headers.get(
            "retry-after"
        )

    async def more_acks(self, count: int) -> None:
        """Wait until `count` more events are acknowledged."""
        target = len(self.acked) + count
        await eventually(lambda: len(self.acked) >= target, 30)

    def note_ack(self, batch: Sequence[Event]) -> None:
        keys = {(event["user_id"], event["event_id"]) for event in batch}
        self.acked |= keys
        self.batches.update({user_id for user_id, _ in keys})


class RetryingWriter:
    """A client that does not rest until its batches are acknowledged."""

    def __init__(self, client: httpx2.AsyncClient, ledger: Ledger, name: str) -> None:
        self._client = client
        self._ledger = ledger
        self._name = name

    async def write_until(
        self, stop: asyncio.Event, users: Sequence[str], *, pause: float = 0
    ) -> None:
        """Send batches of three users' events until `stop`; the last batch is seen through."""
        number = 0
        while not stop.is_set():
            chosen = [users[(number + step) % len(users)] for step in (0, 1, 3)]
            await self.send(new_events(chosen, f"{self._name}-{number}", per_user=2))
            number += 1
            await asyncio.sleep(pause)

    async def send(self, batch: Sequence[Event]) -> None:
        self._ledger.sent |= {(event["user_id"], event["event_id"]) for event in batch}
        while True:
            if await self._try(batch):
                self._ledger.note_ack(batch)
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _try(self, batch: Sequence[Event]) -> bool:
        try:
            response = await self._client.post("/v1/interactions", json={"interactions": batch})
        except httpx2.TransportError:
            return False
        self._ledger.note_answer(response)
        if response.status_code != 200:
            return False
        assert response.json()["rejected"] == 0
        return True


@asynccontextmanager
async def retrying_writers(
    url: str, api_key: str, count: int, users: Sequence[str]
) -> AsyncIterator[Ledger]:
    """`count` writers at work for the length of the block; after it, every batch is acked."""
    ledger, stop = Ledger(), asyncio.Event()
    async with api_client(url, api_key) as client, asyncio.TaskGroup() as group:
        for number in range(count):
            writer = RetryingWriter(client, ledger, f"w{number}")
            group.create_task(writer.write_until(stop, users))
        try:
            yield ledger
        finally:
            stop.set()


def api_client(url: str, key: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=20, trust_env=False
    )


def new_events(users: Sequence[str], name: str, *, per_user: int) -> list[Event]:
    """`per_user` events for each user, with ids that `name` makes unique.

    A user always does the same: a profile that lost all it said would be quarantined.
    """
    return [
        {
            "user_id": user_id,
            "event_id": f"{name}-{number}",
            "text": f"Read about {_own(user_id, _SUBJECTS)} in {_own(user_id, _PLACES)}.",
        }
        for user_id in users
        for number in range(per_user)
    ]


async def store_events(
    database: Database, cache: ProfileCache, project_id: str, events: Sequence[Event]
) -> None:
    """Ingest without an API process; every event is new."""
    items = [
        NewInteraction(
            user_id=event["user_id"],
            source="api",
            event_id=event["event_id"],
            occurred_at=None,
            type="interaction",
            text=event["text"],
            attributes_json="{}",
        )
        for event in events
    ]
    policy = RegenerationPolicy(min_interactions=MIN_INTERACTIONS, debounce=0, priority=1)
    await ingest(database, cache, project_id, items, policy)


async def select(database: Database, project_id: str, sql: str, **parameters: Any) -> Sequence[Any]:
    """Rows of a query over one project."""
    async with database.transaction(project_id) as tx:
        return list((await tx.execute(text(sql), **parameters)).all())


async def check_histories(database: Database, project_id: str, ledger: Ledger) -> None:
    """Nothing acknowledged is lost, nothing is stored twice, every revision is what it must be.

    Each acknowledged batch raised the revision of each of its users once.
    """
    rows = await select(database, project_id, "select user_id, event_id from interactions")
    stored = Counter((row.user_id, row.event_id) for row in rows)
    assert ledger.acked - stored.keys() == set(), "acknowledged events are lost"
    assert stored.keys() - ledger.sent == set(), "events are stored that nobody sent"
    assert [key for key, count in stored.items() if count > 1] == [], "events are stored twice"
    counted = await select(
        database,
        project_id,
        """
        select u.user_id, u.revision, u.interaction_count, count(*) as stored,
               count(distinct i.revision) as batches, max(i.revision) as newest
        from users u join interactions i using (project_id, user_id)
        group by u.user_id, u.revision, u.interaction_count
        """,
    )
    assert {row.user_id: row.revision for row in counted} == dict(ledger.batches)
    assert all(row.revision == row.batches == row.newest for row in counted)
    assert all(row.interaction_count == row.stored for row in counted)


async def check_profiles(database: Database, project_id: str) -> None:
    """Every user with enough interactions has one serving profile that has read the whole history.

    No revision was written twice, and nothing waits any more.
    """
    users = await select(
        database,
        project_id,
        """
        select u.user_id, u.revision,
               array_agg(p.revision order by p.version) as written,
               array_agg(p.status order by p.version) as statuses
        from users u left join profiles p using (project_id, user_id)
        where u.interaction_count >= :enough
        group by u.user_id, u.revision
        """,
        enough=MIN_INTERACTIONS,
    )
    assert users
    behind = [row for row in users if row.written[-1] != row.revision]
    assert behind == [], "the newest profile has not read the newest revision"
    unserved = [row for row in users if _serving(row.statuses) != [len(row.statuses) - 1]]
    assert unserved == [], "the newest profile is not the one that serves"
    repeated = [row for row in users if len(set(row.written)) < len(row.written)]
    assert repeated == [], "a revision has more than one profile"
    assert await waiting(database, project_id) == 0


async def until_worked_off(database: Database, project_id: str, seconds: float) -> None:
    """Wait until no regeneration of the project is left; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while left := await waiting(database, project_id):
        assert time.monotonic() < deadline, f"{left} regenerations are left after {seconds} s"
        await asyncio.sleep(0.05)


async def waiting(database: Database, project_id: str) -> int:
    """How many regenerations the project has, whatever their state."""
    rows = await select(database, project_id, "select count(*) from regenerations")
    return int(rows[0][0])


def user_names(count: int) -> Iterator[str]:
    return (f"user-{number:03}" for number in range(count))


def _own(user_id: str, choices: Sequence[str]) -> str:
    return choices[crc32(user_id.encode()) % len(choices)]


def _serving(statuses: Sequence[str]) -> list[int]:
    return [position for position, status in enumerate(statuses) if status == "serving"]
