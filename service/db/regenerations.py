"""Regenerations: one row a user is the job. It is state, not a queue, so requests coalesce.

`due_at` says when a worker may take the row: the end of the debounce, of a backoff or of a
lease; 'infinity' while it is parked. How a worker takes, keeps and ends a job: `claims`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import text

from service.db.session import Database, Transaction

PRIORITY_ASKED = 0
PRIORITY_INGEST = 1
PRIORITY_BACKFILL = 2


@dataclass(frozen=True, slots=True)
class Backlog:
    """The whole queue in three numbers, over all projects.

    `oldest_seconds` is the age of the oldest job that is due and not in the background.
    """

    waiting: int
    parked: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class RegenerationRecord:
    user_id: str
    requested_revision: int
    first_requested_at: datetime
    last_requested_at: datetime
    due_at: datetime | None
    priority: int
    leased: bool
    leased_revision: int | None
    attempts: int
    last_error: str | None
    parked_at: datetime | None


_BACKLOG = text("select waiting, parked, oldest_seconds from regeneration_backlog()")
_REQUEST_NOW = text(
    f"""
    insert into regenerations as r (
        project_id, user_id, requested_revision, first_requested_at, last_requested_at, due_at,
        priority, asked
    )
    values (:project_id, :user_id, :revision, now(), now(), now(), {PRIORITY_ASKED}, true)
    on conflict (project_id, user_id) do update
    set requested_revision = excluded.requested_revision, priority = excluded.priority,
        asked = true, last_requested_at = now(), parked_at = null, last_error = null,
        attempts = case when r.parked_at is null then r.attempts else 0 end,
        due_at = case when r.lease_token is null then now() else r.due_at end
    """
)
_REQUEST_LATER = text(
    f"""
    insert into regenerations (
        project_id, user_id, requested_revision, first_requested_at, last_requested_at, due_at,
        priority, asked
    )
    values (:project_id, :user_id, :revision, now(), now(), now(), {PRIORITY_BACKFILL}, true)
    on conflict (project_id, user_id) do update set asked = true
    """
)
_REQUEUE_PARKED = text(
    """
    with parked as (
        select user_id from regenerations
        where project_id = :project_id and parked_at is not null
          and (cast(:user_id as text) is null or user_id = :user_id)
        order by user_id
        for update
    )
    update regenerations r
    set parked_at = null, attempts = 0, due_at = now()
    from parked
    where r.project_id = :project_id and r.user_id = parked.user_id
    """
)
# A job that runs may have been read by the generator of before: it is written again after it.
_REQUEST_MANY = text(
    f"""
    insert into regenerations as r (
        project_id, user_id, requested_revision, first_requested_at, last_requested_at, due_at,
        priority, backfill_id, asked
    )
    select :project_id, n.user_id, n.revision, now(), now(), now(), {PRIORITY_BACKFILL},
           :backfill_id, true
    from unnest(cast(:user_ids as text[]), cast(:revisions as bigint[])) as n (user_id, revision)
    order by n.user_id collate "C"
    on conflict (project_id, user_id) do update
    set backfill_id = excluded.backfill_id, asked = true, parked_at = null,
        priority = case when r.parked_at is null then r.priority else excluded.priority end,
        attempts = case when r.parked_at is null then r.attempts else 0 end,
        due_at = case when r.parked_at is null then r.due_at else now() end
    """
)
_OF_BACKFILL = text(
    """
    select count(*) filter (where parked_at is null) as outstanding,
           count(*) filter (where parked_at is not null) as parked
    from regenerations
    where project_id = :project_id and backfill_id = :backfill_id
    """
)
_WAITING_OF_BACKFILL = text(
    """
    select user_id from regenerations
    where project_id = :project_id and backfill_id = :backfill_id and due_at <= now()
    order by due_at
    limit :limit
    """
)
_REQUEST_ALL_SERVED = text(
    f"""
    insert into regenerations (
        project_id, user_id, requested_revision, first_requested_at, last_requested_at, due_at,
        priority
    )
    select u.project_id, u.user_id, u.revision, now(), now(), now(), {PRIORITY_BACKFILL}
    from users u
    join profiles p on p.project_id = u.project_id and p.user_id = u.user_id
        and p.status = 'serving'
    where u.project_id = :project_id and u.profiling = 'on'
    order by u.user_id
    on conflict do nothing
    """
)
_COLUMNS = """
    user_id, requested_revision, first_requested_at, last_requested_at,
    nullif(due_at, 'infinity') as due_at, priority, lease_token is not null as leased,
    leased_revision, attempts, last_error, parked_at
"""
_LIST = text(
    f"""
    select {_COLUMNS} from regenerations
    where project_id = :project_id
      and (:state = 'all' or (:state = 'parked') = (parked_at is not null))
    order by priority, regenerations.due_at
    limit :limit
    """
)
_FIND = text(
    f"select {_COLUMNS} from regenerations where project_id = :project_id and user_id = :user_id"
)
_DELETE = text("delete from regenerations where project_id = :project_id and user_id = :user_id")


async def backlog(database: Database) -> Backlog:
    async with database.across_projects() as connection:
        return Backlog(*(await connection.execute(_BACKLOG)).one())


async def request_now(tx: Transaction, user_id: str, revision: int) -> None:
    """Ask for a regeneration without debounce; a running one is left to finish."""
    await tx.execute(_REQUEST_NOW, user_id=user_id, revision=revision)


async def request_later(tx: Transaction, user_id: str, revision: int) -> None:
    """Ask for a regeneration after everything that is more urgent."""
    await tx.execute(_REQUEST_LATER, user_id=user_id, revision=revision)


async def requeue_parked(tx: Transaction, user_id: str | None) -> int:
    """Wake one parked user, or all of the project's; returns how many."""
    return int((await tx.execute(_REQUEUE_PARKED, user_id=user_id)).rowcount)


async def request_all_served(tx: Transaction) -> None:
    """Ask, in the background, for every user whom a profile serves; who waits already will do."""
    await tx.execute(_REQUEST_ALL_SERVED)


async def request_many(tx: Transaction, backfill_id: UUID, revisions: Mapping[str, int]) -> None:
    """Ask, in the background, for users at these revisions; in key order, and locked."""
    await tx.execute(
        _REQUEST_MANY,
        backfill_id=backfill_id,
        user_ids=list(revisions),
        revisions=list(revisions.values()),
    )


async def of_backfill(tx: Transaction, backfill_id: UUID) -> tuple[int, int]:
    """How many of a backfill's jobs are outstanding, and how many are parked."""
    row = (await tx.execute(_OF_BACKFILL, backfill_id=backfill_id)).one()
    return row.outstanding, row.parked


async def waiting_of_backfill(tx: Transaction, backfill_id: UUID, limit: int) -> list[str]:
    """Users whose job of a backfill can be claimed now, at most `limit`."""
    rows = await tx.execute(_WAITING_OF_BACKFILL, backfill_id=backfill_id, limit=limit)
    return list(rows.scalars())


async def records(
    tx: Transaction, *, state: Literal["all", "parked", "waiting"], limit: int
) -> list[RegenerationRecord]:
    rows = await tx.execute(_LIST, state=state, limit=limit)
    return [RegenerationRecord(*row) for row in rows]


async def find(tx: Transaction, user_id: str) -> RegenerationRecord | None:
    row = (await tx.execute(_FIND, user_id=user_id)).one_or_none()
    return RegenerationRecord(*row) if row else None


async def delete(tx: Transaction, user_id: str) -> None:
    await tx.execute(_DELETE, user_id=user_id)
