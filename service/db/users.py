"""Users: the row that every writer of a user's data locks first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from service.db.session import Transaction


@dataclass(frozen=True, slots=True)
class UserRecord:
    user_id: str
    revision: int
    interaction_count: int
    first_seen_at: datetime | None
    last_seen_at: datetime | None
    profiling: str
    counted_revision: int

    @property
    def paused(self) -> bool:
        return self.profiling == "paused"


@dataclass(frozen=True, slots=True)
class UserSummary:
    """A user and, unless profiling is paused, what serves for them. Without a profile: None.

    `score`: the mean over the `windows` of whatever served them.
    """

    user_id: str
    revision: int
    interaction_count: int
    first_seen_at: datetime | None
    last_seen_at: datetime | None
    profiling: str
    profile_version: int | None
    profile_revision: int | None
    generator: str | None
    written_at: datetime | None
    windows: int
    score: float | None


_COLUMNS = (
    "user_id, revision, interaction_count, first_seen_at, last_seen_at, profiling, counted_revision"
)
# One pass in key order that creates a row or locks it: `where false` keeps an existing row as it
# is, but PostgreSQL locks it all the same (INSERT, "conflict_action").
_ENSURE_LOCKED = """
insert into users as u (project_id, user_id)
select $1, n.user_id from unnest(cast($2 as text[])) as n (user_id)
order by n.user_id collate "C"
on conflict (project_id, user_id) do update set profiling = u.profiling where false
"""
_LOCK_MANY = text(
    """
    select user_id from users
    where project_id = :project_id and user_id = any(cast(:user_ids as text[]))
    order by user_id
    for update
    """
)
_COUNTED_REVISIONS = text(
    """
    select user_id, counted_revision from users
    where project_id = :project_id and user_id = any(cast(:user_ids as text[]))
    order by user_id
    """
)
_FIND = text(f"select {_COLUMNS} from users where project_id = :project_id and user_id = :user_id")
_LOCK = text(
    f"select {_COLUMNS} from users where project_id = :project_id and user_id = :user_id for update"
)
# Bounds instead of a pattern, so that the key's index is read from the prefix on and no further.
_SUMMARIES = text(
    """
    select u.user_id, u.revision, u.interaction_count, u.first_seen_at, u.last_seen_at,
           u.profiling, p.version, p.revision, p.generator, p.created_at,
           s.windows, s.score
    from (
        select * from users
        where project_id = :project_id
          and user_id > :after and user_id >= :prefix
          and user_id <= rpad(:prefix, 257, chr(1114111))
        order by user_id
        limit :limit
    ) u
    left join lateral (
        select version, revision, generator, created_at from profiles
        where project_id = u.project_id and user_id = u.user_id and status = 'serving'
          and u.profiling = 'on'
    ) p on true
    cross join lateral (
        select count(*) as windows, avg(score) as score from prequential_scores
        where project_id = u.project_id and user_id = u.user_id and judge = :judge
          and status = 'serving' and u.profiling = 'on'
    ) s
    order by u.user_id
    """
)
# By a digest: as good as chance, and the same again for the same seed.
_SAMPLE = text(
    """
    select user_id from users
    where project_id = :project_id and profiling = 'on'
      and interaction_count >= :min_interactions
    order by md5(cast(:seed as text) || ':' || user_id), user_id
    limit :count
    """
)
_SET_PROFILING = text(
    "update users set profiling = :profiling where project_id = :project_id and user_id = :user_id"
)
_MARK_COUNTED = text(
    """
    update users u set counted_revision = greatest(u.counted_revision, c.revision)
    from unnest(cast(:user_ids as text[]), cast(:revisions as bigint[])) as c (user_id, revision)
    where u.project_id = :project_id and u.user_id = c.user_id
    """
)
_DELETE = text("delete from users where project_id = :project_id and user_id = :user_id")


async def ensure_and_lock(tx: Transaction, user_ids: Sequence[str]) -> None:
    """Create what is missing and lock all rows; `user_ids` are in key order.

    Every writer takes users in this one order, so batches that share users, erasures included,
    wait for one another and never deadlock.
    """
    await tx.fetch(_ENSURE_LOCKED, user_ids)


async def find(tx: Transaction, user_id: str) -> UserRecord | None:
    row = (await tx.execute(_FIND, user_id=user_id)).one_or_none()
    return UserRecord(*row) if row else None


async def summaries(
    tx: Transaction, *, prefix: str, after: str, limit: int, judge: str
) -> list[UserSummary]:
    """Up to `limit` users whose id begins with `prefix`, in key order, from behind `after` on.

    Scores are those by `judge`.
    """
    rows = await tx.execute(_SUMMARIES, prefix=prefix, after=after, limit=limit, judge=judge)
    return [UserSummary(*row) for row in rows]


async def lock(tx: Transaction, user_id: str) -> UserRecord | None:
    """The user's row, locked until the transaction ends; None if there is no such user."""
    row = (await tx.execute(_LOCK, user_id=user_id)).one_or_none()
    return UserRecord(*row) if row else None


async def sample(tx: Transaction, count: int, *, min_interactions: int, seed: int) -> list[str]:
    """At most `count` users with so many interactions, none of whom objects to profiling."""
    rows = await tx.execute(_SAMPLE, count=count, min_interactions=min_interactions, seed=str(seed))
    return list(rows.scalars())


async def set_profiling(tx: Transaction, user_id: str, profiling: str) -> None:
    await tx.execute(_SET_PROFILING, user_id=user_id, profiling=profiling)


async def delete(tx: Transaction, user_id: str) -> None:
    await tx.execute(_DELETE, user_id=user_id)


async def counted_revisions(tx: Transaction, user_ids: Sequence[str]) -> dict[str, int]:
    """Up to which revision the population has each of the users that still exist."""
    rows = await tx.execute(_COUNTED_REVISIONS, user_ids=list(user_ids))
    return {row.user_id: row.counted_revision for row in rows}


async def mark_counted(tx: Transaction, revisions: dict[str, int]) -> None:
    """Remember up to which revision each user's interactions are in the population statistics."""
    user_ids = sorted(revisions)
    # Locked in key order first: an update of many rows takes them in any order.
    await tx.execute(_LOCK_MANY, user_ids=user_ids)
    await tx.execute(
        _MARK_COUNTED, user_ids=user_ids, revisions=[revisions[user_id] for user_id in user_ids]
    )
