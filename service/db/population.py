"""Population statistics of a project: opaque bytes that the generator understands."""

from sqlalchemy import text

from service.db.session import Transaction

_LOAD = text("select statistics from population_stats where project_id = :project_id")
_LOCK = text("select statistics from population_stats where project_id = :project_id for update")
_ENSURE = text(
    """
    insert into population_stats (project_id, statistics, interactions)
    values (:project_id, :statistics, 0)
    on conflict do nothing
    """
)
_SAVE = text(
    """
    update population_stats
    set statistics = :statistics, interactions = :interactions, updated_at = now()
    where project_id = :project_id
    """
)


async def load(tx: Transaction) -> bytes | None:
    stored = (await tx.execute(_LOAD)).scalar_one_or_none()
    return None if stored is None else bytes(stored)


async def lock(tx: Transaction, empty: bytes) -> bytes:
    """The statistics, locked until the transaction ends; `empty` where there were none."""
    await tx.execute(_ENSURE, statistics=empty)
    return bytes((await tx.execute(_LOCK)).scalar_one())


async def save(tx: Transaction, statistics: bytes, interactions: int) -> None:
    """Replace the statistics; they must be locked."""
    await tx.execute(_SAVE, statistics=statistics, interactions=interactions)
