"""Claimed regenerations: a worker takes rows, keeps them while it works, and ends each.

A lease is the row's `due_at` in the future, and a token from a sequence that fences late workers:
whatever a worker does to a row asks whether the token is still its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import text

from service.db.regenerations import PRIORITY_BACKFILL
from service.db.session import Database, Transaction


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed regeneration. It is ours until the lease ends or the token changes.

    A `suspect` may have killed the workers that had it before: it is the only job of its claim.
    `backfill_id` names the backfill that has asked for it, besides whoever else has.
    """

    project_id: str
    user_id: str
    lease_token: int
    attempts: int
    first_requested_at: datetime
    suspect: bool
    priority: int
    backfill_id: UUID | None

    @property
    def in_background(self) -> bool:
        """Whether nobody waits for it: whatever else is due comes first."""
        return self.priority == PRIORITY_BACKFILL


_CLAIM = text(
    """
    select project_id, user_id, lease_token, attempts, first_requested_at, suspect, priority,
           backfill_id
    from claim_regenerations(
        :limit, :lease, :debounce, :max_delay, cast(:backfill as integer),
        cast(:of_project as text), cast(:of_users as text[])
    )
    """
)
# Several rows are locked in key order, as ingest does, so that the two never deadlock.
_EXTEND = text(
    """
    with ours as (
        select r.user_id
        from regenerations r
        join unnest(cast(:user_ids as text[]), cast(:tokens as bigint[])) as held (user_id, token)
            on held.user_id = r.user_id and held.token = r.lease_token
        where r.project_id = :project_id
        order by r.user_id
        for update of r
    )
    update regenerations r set due_at = now() + make_interval(secs => :lease)
    from ours
    where r.project_id = :project_id and r.user_id = ours.user_id
    returning r.lease_token
    """
)
_FINISH = text(
    """
    delete from regenerations
    where project_id = :project_id and user_id = :user_id
      and lease_token = :token and requested_revision <= :revision
      and (backfill_id is null or backfill_id = :backfill_id)
    """
)
_REQUEUE_NEWER = text(
    """
    update regenerations
    set lease_token = null, leased_revision = null, attempts = 0, last_error = null,
        first_requested_at = now(), due_at = now(),
        backfill_id = nullif(backfill_id, :backfill_id)
    where project_id = :project_id and user_id = :user_id and lease_token = :token
    """
)
_HELD = text(
    """
    select asked from regenerations
    where project_id = :project_id and user_id = :user_id and lease_token = :token
    """
)
_RETRY = text(
    """
    update regenerations
    set lease_token = null, leased_revision = null, last_error = :error,
        due_at = now() + random() * make_interval(secs => :delay)
    where project_id = :project_id and user_id = :user_id and lease_token = :token
    """
)
_PARK = text(
    """
    update regenerations
    set lease_token = null, leased_revision = null, last_error = :error,
        due_at = 'infinity', parked_at = now()
    where project_id = :project_id and user_id = :user_id and lease_token = :token
    """
)
_RELEASE = text(
    """
    update regenerations
    set lease_token = null, leased_revision = null, attempts = greatest(attempts - 1, 0),
        due_at = now()
    where project_id = :project_id and user_id = :user_id and lease_token = :token
    """
)
# Half of the time that it has waited already: a job that itself is what the database cannot bear,
# as one whose statements run out of time, is tried less and less often.
_PUT_OFF = text(
    """
    update regenerations
    set lease_token = null, leased_revision = null, attempts = greatest(attempts - 1, 0),
        last_error = :error,
        due_at = now() + random()
            * greatest(make_interval(secs => :delay), (now() - first_requested_at) / 2)
    where project_id = :project_id and user_id = :user_id and lease_token = :token
    """
)


async def claim(
    database: Database,
    *,
    limit: int,
    lease: float,
    debounce: float,
    max_delay: float,
    backfill: int | None = None,
    of_project: str | None = None,
    of_users: Sequence[str] | None = None,
) -> list[Job]:
    """Lease up to `limit` due regenerations of any project (times in seconds), urgent ones first.

    At most `backfill` of them are in the background. With `of_users`, only these users of
    `of_project`. Goes through a SECURITY DEFINER function, since claiming is the one thing that
    crosses projects. A row whose events are still coming is re-armed instead of returned.
    """
    async with database.across_projects() as connection:
        rows = await connection.execute(
            _CLAIM,
            {
                "limit": limit,
                "lease": lease,
                "debounce": debounce,
                "max_delay": max_delay,
                "backfill": backfill,
                "of_project": of_project,
                "of_users": None if of_users is None else list(of_users),
            },
        )
        return [Job(*row) for row in rows]


async def extend_leases(tx: Transaction, jobs: Sequence[Job], lease: float) -> set[int]:
    """Push the end of the leases out; returns the tokens that are still ours."""
    rows = await tx.execute(
        _EXTEND,
        user_ids=[job.user_id for job in jobs],
        tokens=[job.lease_token for job in jobs],
        lease=lease,
    )
    return {row.lease_token for row in rows}


async def finish(tx: Transaction, job: Job, revision: int) -> Literal["done", "newer", "lost"]:
    """Close the job that read `revision`, by its token.

    `done`: nothing newer was requested, the row is gone. `newer`: events or a backfill came
    meanwhile, the row is due again. `lost`: the token is not ours, so the caller must roll back.
    """
    if await _owned_update(tx, _FINISH, job, revision=revision, backfill_id=job.backfill_id):
        return "done"
    requeued = await _owned_update(tx, _REQUEUE_NEWER, job, backfill_id=job.backfill_id)
    return "newer" if requeued else "lost"


async def was_asked_for(tx: Transaction, job: Job) -> bool | None:
    """Whether somebody asked for a new profile, besides events; None where the job is not ours.

    The user must be locked, so that it stays so until the end.
    """
    row = await tx.execute(_HELD, user_id=job.user_id, token=job.lease_token)
    asked: bool | None = row.scalar_one_or_none()
    return asked


async def retry_later(tx: Transaction, job: Job, *, error: str, delay: float) -> bool:
    """Give the job back for a retry after a random part of `delay` seconds (full jitter)."""
    return await _owned_update(tx, _RETRY, job, error=error, delay=delay)


async def park(tx: Transaction, job: Job, *, error: str) -> bool:
    """Set the job aside until new events or a person wake it."""
    return await _owned_update(tx, _PARK, job, error=error)


async def release(tx: Transaction, job: Job) -> bool:
    """Give the job back unharmed, as if it had not been claimed."""
    return await _owned_update(tx, _RELEASE, job)


async def put_off(tx: Transaction, job: Job, *, error: str, delay: float) -> bool:
    """Give the job back with the attempt, due within `delay` seconds or half its age (jittered)."""
    return await _owned_update(tx, _PUT_OFF, job, error=error, delay=delay)


async def _owned_update(tx: Transaction, statement: Any, job: Job, **parameters: Any) -> bool:
    result = await tx.execute(statement, user_id=job.user_id, token=job.lease_token, **parameters)
    return bool(result.rowcount)
