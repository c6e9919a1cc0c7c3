"""How far a project's profiles are behind: its regenerations in four numbers."""

from dataclasses import dataclass

from sqlalchemy import text

from service.db.regenerations import PRIORITY_BACKFILL
from service.db.session import Transaction


@dataclass(frozen=True, slots=True)
class Freshness:
    """`waiting` includes what a debounce or a backoff holds back.

    `oldest_seconds`: how long the oldest interaction that no profile has read waits for one,
    without what is parked or in the background.
    """

    waiting: int
    running: int
    parked: int
    oldest_seconds: float


_READ = text(
    f"""
    select count(*) filter (where parked_at is null and lease_token is null),
           count(*) filter (where parked_at is null and lease_token is not null),
           count(*) filter (where parked_at is not null),
           coalesce(extract(epoch from now() - min(first_requested_at) filter (
               where parked_at is null and priority < {PRIORITY_BACKFILL}
           )), 0)
    from regenerations
    where project_id = :project_id
    """
)


async def read(tx: Transaction) -> Freshness:
    waiting, running, parked, oldest = (await tx.execute(_READ)).one()
    return Freshness(waiting, running, parked, float(oldest))
