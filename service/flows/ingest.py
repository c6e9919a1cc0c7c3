"""Take interactions in: validated, deduplicated, each user's revision raised, regeneration asked.

One transaction a batch. The answer is given after the commit, so what was acknowledged is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import orjson

from service.cache import ProfileCache
from service.db import idempotency, interactions, users
from service.db.interactions import InsertedKey, NewInteraction, RegenerationPolicy
from service.db.session import Database, Transaction
from service.errors import IdempotencyKeyReused
from service.telemetry import INGESTED


class Rejection(NamedTuple):
    """An item that cannot be stored, with what it said of itself and why it was refused."""

    user_id: str | None
    event_id: str | None
    reason: str


class ItemStatus(StrEnum):
    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class ItemResult:
    status: ItemStatus
    user_id: str | None
    event_id: str | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class IngestResult:
    """One result per item, in the order in which they came, and every user's revision."""

    items: tuple[ItemResult, ...]
    revisions: dict[str, int]

    def count(self, status: ItemStatus) -> int:
        return sum(item.status is status for item in self.items)


async def ingest(
    database: Database,
    cache: ProfileCache,
    project_id: str,
    items: Sequence[NewInteraction | Rejection],
    policy: RegenerationPolicy,
) -> IngestResult:
    """Store what is valid and new; rejected items take nothing down with them.

    Raises DatabaseUnavailable; then all of the batch was written or nothing, and it can be sent
    again.
    """
    async with database.writing(project_id, _users(items)) as tx:
        result = await _write_batch(tx, items, policy)
    _count(result)
    await _announce(cache, project_id, result)
    return result


@dataclass(frozen=True, slots=True)
class IdempotentRequest:
    """A request that may be sent again: its key, and the digest of what it asks for."""

    key: str
    sha256: bytes


async def ingest_once(
    database: Database,
    cache: ProfileCache,
    project_id: str,
    items: Sequence[NewInteraction | Rejection],
    policy: RegenerationPolicy,
    *,
    request: IdempotentRequest,
) -> tuple[IngestResult, bool]:
    """Like `ingest`, but the same request again gets the first answer: (result, replayed).

    Raises IdempotencyKeyReused when the key came with another request within a day.
    """
    async with database.writing(project_id, _users(items)) as tx:
        earlier = await idempotency.reserve(tx, request.key, request.sha256)
        if earlier and earlier.request_sha256 != request.sha256:
            raise IdempotencyKeyReused(
                "This Idempotency-Key was used for another request in the last 24 hours."
            )
        if earlier:
            result = _recalled(earlier.outcome, items)
        else:
            result = await _write_batch(tx, items, policy)
            await idempotency.store_outcome(tx, request.key, _outcome(result))
    if not earlier:
        _count(result)
    await _announce(cache, project_id, result)
    return result, earlier is not None


def _users(items: Sequence[NewInteraction | Rejection]) -> set[str]:
    return {item.user_id for item in items if isinstance(item, NewInteraction)}


async def _write_batch(
    tx: Transaction, items: Sequence[NewInteraction | Rejection], policy: RegenerationPolicy
) -> IngestResult:
    valid = [item for item in items if isinstance(item, NewInteraction)]
    if not valid:
        return IngestResult(tuple(_rejected(i) for i in items if isinstance(i, Rejection)), {})
    await users.ensure_and_lock(tx, sorted(_users(valid)))
    inserted = await interactions.insert_new(tx, valid, policy)
    return IngestResult(_in_order(items, inserted.keys), inserted.revisions)


async def _announce(cache: ProfileCache, project_id: str, result: IngestResult) -> None:
    """After the commit, readers learn of the revisions.

    Of those of duplicates too: who sends a batch again may do so because the first answer, and
    this word with it, was lost after the commit.
    """
    await cache.raise_revisions(project_id, result.revisions)


def _count(result: IngestResult) -> None:
    for status in ItemStatus:
        INGESTED.labels(status.value).inc(result.count(status))


def _outcome(result: IngestResult) -> bytes:
    """What a replay needs beyond the request itself: no ids, so nothing of an erased user stays."""
    items = [[item.status.value, item.reason] for item in result.items]
    return orjson.dumps([items, list(result.revisions.values())])


def _recalled(outcome: bytes, items: Sequence[NewInteraction | Rejection]) -> IngestResult:
    outcomes, revisions = orjson.loads(outcome)
    results = tuple(
        ItemResult(ItemStatus(status), item.user_id, item.event_id, reason)
        for item, (status, reason) in zip(items, outcomes, strict=True)
    )
    stored = (r.user_id for r in results if r.status is not ItemStatus.REJECTED)
    users_in_order = sorted({user_id for user_id in stored if user_id is not None})
    return IngestResult(results, dict(zip(users_in_order, revisions, strict=True)))


def _in_order(
    items: Sequence[NewInteraction | Rejection], inserted: set[InsertedKey]
) -> tuple[ItemResult, ...]:
    fresh = set(inserted)
    results = []
    for item in items:
        if isinstance(item, Rejection):
            results.append(_rejected(item))
            continue
        key = InsertedKey(item.user_id, item.source, item.event_id)
        status = ItemStatus.ACCEPTED if key in fresh else ItemStatus.DUPLICATE
        # The same key again in one batch is a duplicate of its first appearance.
        fresh.discard(key)
        results.append(ItemResult(status, item.user_id, item.event_id))
    return tuple(results)


def _rejected(item: Rejection) -> ItemResult:
    return ItemResult(ItemStatus.REJECTED, item.user_id, item.event_id, item.reason)
