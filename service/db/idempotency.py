"""Idempotency keys: what came of a request, kept for a day with a digest of what was asked."""

from dataclasses import dataclass

from sqlalchemy import text

from service.db.session import Transaction

_RESERVE = text(
    """
    insert into idempotency_keys (project_id, idempotency_key, request_sha256)
    values (:project_id, :key, :request_sha256)
    on conflict (project_id, idempotency_key) do update
    set request_sha256 = excluded.request_sha256, outcome = null, created_at = now()
    where idempotency_keys.created_at < now() - interval '24 hours'
    """
)
_FIND = text(
    """
    select request_sha256, outcome from idempotency_keys
    where project_id = :project_id and idempotency_key = :key
    """
)
_STORE = text(
    """
    update idempotency_keys set outcome = :outcome
    where project_id = :project_id and idempotency_key = :key
    """
)
_PURGE = text(
    """
    delete from idempotency_keys k
    using (
        select idempotency_key from idempotency_keys
        where project_id = :project_id and created_at < now() - interval '24 hours'
        order by created_at limit 10
        for update skip locked
    ) old
    where k.project_id = :project_id and k.idempotency_key = old.idempotency_key
    """
)


@dataclass(frozen=True, slots=True)
class EarlierRequest:
    request_sha256: bytes
    outcome: bytes


async def reserve(tx: Transaction, key: str, request_sha256: bytes) -> EarlierRequest | None:
    """Take the key, or return the request that took it.

    A concurrent request with the same key waits here for the first one's commit, since both
    insert the same primary key; so an earlier request always has its outcome. Each new key
    sweeps a few expired ones away, so the table stays as small as a day's requests.
    """
    await tx.execute(_PURGE)
    if (await tx.execute(_RESERVE, key=key, request_sha256=request_sha256)).rowcount:
        return None
    row = (await tx.execute(_FIND, key=key)).one()
    return EarlierRequest(bytes(row.request_sha256), bytes(row.outcome))


async def store_outcome(tx: Transaction, key: str, outcome: bytes) -> None:
    await tx.execute(_STORE, key=key, outcome=outcome)
