"""Erasure receipts: that, when and how much, never who in the clear."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from service.db.session import Transaction


@dataclass(frozen=True, slots=True)
class Receipt:
    """`user_digest` (hex) lets whoever knows the user id check that the receipt is theirs."""

    receipt_id: UUID
    user_digest: str
    interactions: int
    profiles: int
    erased_at: datetime


_ADD = text(
    """
    insert into erasures (project_id, receipt_id, user_digest, interactions, profiles)
    values (:project_id, :receipt_id, :user_digest, :interactions, :profiles)
    returning erased_at
    """
)


async def add(
    tx: Transaction, *, receipt_id: UUID, user_digest: bytes, interactions: int, profiles: int
) -> Receipt:
    row = await tx.execute(
        _ADD,
        receipt_id=receipt_id,
        user_digest=user_digest,
        interactions=interactions,
        profiles=profiles,
    )
    return Receipt(receipt_id, user_digest.hex(), interactions, profiles, row.scalar_one())
