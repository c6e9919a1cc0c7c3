"""Interactions: adding them with their regeneration request, and reading histories."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import text

from service.db.session import Transaction
from service.domain.interaction import EventKey, Interaction


class NewInteraction(NamedTuple):
    """A validated interaction on its way in. `occurred_at` None means: now, by the database."""

    user_id: str
    source: str
    event_id: str
    occurred_at: datetime | None
    type: str
    text: str
    attributes_json: str


class InsertedKey(NamedTuple):
    user_id: str
    source: str
    event_id: str


class Inserted(NamedTuple):
    """What was new, and every user's revision from now on."""

    keys: set[InsertedKey]
    revisions: dict[str, int]


@dataclass(frozen=True, slots=True)
class RegenerationPolicy:
    """When an ingest asks for a regeneration. Times in seconds; `priority` 0 is the most urgent."""

    min_interactions: int
    debounce: float
    priority: int


# One statement, so that the interactions, the user's revision and the regeneration request are
# one write. The users are locked already. A repeated request changes unindexed columns only and
# never `due_at`, which may be a lease; new events wake a parked row, and make a backfill's urgent,
# which then waits since its first event. The users are looked up by
# their keys and not joined: for a table without statistics, the join would read all of them.
# Of items with the same key, the first is the one that is kept and reported as accepted.
_INSERT = """
with incoming as (
    select * from unnest(
        cast($2 as text[]), cast($3 as text[]), cast($4 as text[]),
        cast($5 as timestamptz[]), cast($6 as text[]), cast($7 as text[]),
        cast($8 as text[])
    ) with ordinality as i (
        user_id, source, event_id, occurred_at, type, text, attributes, position
    )
), before as materialized (
    select user_id, revision from users
    where project_id = $1 and user_id = any(cast($2 as text[]))
), inserted as (
    insert into interactions (
        project_id, user_id, source, event_id, occurred_at, revision, type, text, attributes
    )
    select $1, b.user_id, i.source, i.event_id, coalesce(i.occurred_at, now()),
           b.revision + 1, i.type, i.text, cast(i.attributes as jsonb)
    from incoming i join before b using (user_id)
    order by b.user_id, i.source, i.event_id, i.position
    on conflict do nothing
    returning user_id, source, event_id, occurred_at
), touched as (
    update users u
    set revision = u.revision + 1,
        interaction_count = u.interaction_count + n.added,
        first_seen_at = least(u.first_seen_at, n.first_at),
        last_seen_at = greatest(u.last_seen_at, n.last_at)
    from (
        select user_id, count(*) as added, min(occurred_at) as first_at,
               max(occurred_at) as last_at
        from inserted group by user_id
    ) n
    where u.project_id = $1 and u.user_id = n.user_id
    returning u.user_id, u.revision, u.interaction_count, u.profiling
), requested as (
    insert into regenerations as r (
        project_id, user_id, requested_revision, first_requested_at, last_requested_at,
        due_at, priority
    )
    select $1, t.user_id, t.revision, now(), now(),
           now() + make_interval(secs => $10), $11
    from touched t
    where t.profiling = 'on' and t.interaction_count >= $9
    order by t.user_id
    on conflict (project_id, user_id) do update
    set requested_revision = excluded.requested_revision,
        last_requested_at = excluded.last_requested_at,
        first_requested_at = case when r.priority > excluded.priority
                                  then excluded.first_requested_at else r.first_requested_at end,
        priority = least(r.priority, excluded.priority),
        due_at = case when r.parked_at is null then r.due_at else excluded.due_at end,
        attempts = case when r.parked_at is null then r.attempts else 0 end,
        parked_at = null
)
select user_id, source, event_id, null as revision from inserted
union all
select user_id, null, null, revision from before
"""

# In the order of the fields of `Interaction`.
_COLUMNS = "event_id, occurred_at, text, source, type, attributes, revision"
_LATEST = f"""
select {_COLUMNS} from interactions
where project_id = $1 and user_id = $2 and revision <= $3
order by occurred_at desc, source desc, event_id desc
limit $4
"""
# Bare comparisons: behind an `or` or a `coalesce` the index would be read from its start.
_PAGE = text(
    f"""
    select {_COLUMNS} from interactions
    where project_id = :project_id and user_id = :user_id
      and revision <= :revision
      and (occurred_at, source, event_id) < (:occurred_at, :source, :event_id)
    order by occurred_at desc, source desc, event_id desc
    limit :limit
    """
)
_BY_KEYS = text(
    f"""
    select {_COLUMNS} from interactions
    where project_id = :project_id and user_id = :user_id
      and (source, event_id) in (
          select * from unnest(cast(:sources as text[]), cast(:event_ids as text[]))
      )
    order by occurred_at desc, source desc, event_id desc
    """
)
_AFTER_ALL = (datetime.max.replace(tzinfo=UTC), "", "")
_LAST_REVISION = 2**63 - 1
_DELETE = text("delete from interactions where project_id = :project_id and user_id = :user_id")


async def insert_new(
    tx: Transaction, interactions: Sequence[NewInteraction], policy: RegenerationPolicy
) -> Inserted:
    """Insert what is not stored yet and ask for a regeneration of every user it concerns.

    The users must be locked. Whatever is not among the inserted keys is a duplicate.
    """
    columns = zip(*interactions, strict=True)
    rows = await tx.fetch(
        _INSERT, *columns, policy.min_interactions, policy.debounce, policy.priority
    )
    keys: set[InsertedKey] = set()
    before: dict[str, int] = {}
    for user_id, source, event_id, revision in rows:
        if revision is None:
            keys.add(InsertedKey(user_id, source, event_id))
        else:
            before[user_id] = revision
    grown = {key.user_id for key in keys}
    return Inserted(keys, {user: before[user] + (user in grown) for user in sorted(before)})


async def latest(
    tx: Transaction, user_id: str, *, limit: int, revision: int = _LAST_REVISION
) -> tuple[Interaction, ...]:
    """The newest `limit` interactions, oldest first; with `revision`, of what was there then."""
    rows = await tx.fetch(_LATEST, user_id, revision, limit)
    return tuple(Interaction(*row) for row in reversed(rows))


async def page_before(
    tx: Transaction,
    user_id: str,
    *,
    before: tuple[datetime, str, str] | None,
    limit: int,
    revision: int = _LAST_REVISION,
) -> list[Interaction]:
    """Up to `limit` interactions before the order key `before`, newest first.

    With `revision`, only what was there at that revision.
    """
    occurred_at, source, event_id = before or _AFTER_ALL
    rows = await tx.execute(
        _PAGE,
        user_id=user_id,
        occurred_at=occurred_at,
        source=source,
        event_id=event_id,
        limit=limit,
        revision=revision,
    )
    return [Interaction(*row) for row in rows]


async def by_keys(tx: Transaction, user_id: str, keys: Collection[EventKey]) -> list[Interaction]:
    """Those of `keys` that the user has, newest first."""
    rows = await tx.execute(
        _BY_KEYS,
        user_id=user_id,
        sources=[key.source for key in keys],
        event_ids=[key.event_id for key in keys],
    )
    return [Interaction(*row) for row in rows]


async def delete_all(tx: Transaction, user_id: str) -> int:
    """Delete a user's whole history; returns how many rows it had."""
    return int((await tx.execute(_DELETE, user_id=user_id)).rowcount)
