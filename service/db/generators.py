"""The registry of a project's trained generators.

A training registers what it made as a candidate; a candidate serves only after the gate has let
it through. The generators that need no training (`extractive`, `llm` by the settings) are not
registered.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import text

from service.db.session import Transaction


class GeneratorKind(StrEnum):
    EXTRACTIVE = "extractive"
    LLM = "llm"


class GeneratorStatus(StrEnum):
    CANDIDATE = "candidate"
    SERVING = "serving"
    RETIRED = "retired"


class NameTaken(ValueError):
    """The project has another generator of this name."""


@dataclass(frozen=True, slots=True)
class RegisteredGenerator:
    """`base_model`: what an adapter was trained on; None for a generator without one.

    `artifact_uri` says where its weights lie, `sha256` (64 hex digits) which they are. `metrics`
    holds JSON values: what its training and its evaluation have shown.
    """

    name: str
    kind: GeneratorKind
    base_model: str | None
    artifact_uri: str
    sha256: str
    status: GeneratorStatus
    metrics: Mapping[str, Any]
    created_at: datetime


_COLUMNS = (
    "name, kind, base_model, artifact_uri, encode(sha256, 'hex') as sha256, status, metrics, "
    "created_at"
)
# A training that is resumed registers again: its newer metrics count.
_REGISTER = text(
    f"""
    insert into generators as g
        (project_id, name, kind, base_model, artifact_uri, sha256, metrics)
    values (:project_id, :name, :kind, :base_model, :artifact_uri, decode(:sha256, 'hex'),
            cast(:metrics as jsonb))
    on conflict (project_id, name) do update
    set artifact_uri = excluded.artifact_uri, metrics = excluded.metrics
    where g.sha256 = excluded.sha256 and g.kind = excluded.kind
    returning {_COLUMNS}
    """
)
_FIND = text(f"select {_COLUMNS} from generators where project_id = :project_id and name = :name")
_ALL = text(
    f"""
    select {_COLUMNS} from generators
    where project_id = :project_id
      and status = coalesce(cast(:status as text), status)
    order by created_at, name
    """
)


async def register(
    tx: Transaction,
    *,
    name: str,
    kind: GeneratorKind,
    base_model: str | None,
    artifact_uri: str,
    sha256: str,
    metrics: Mapping[str, Any],
) -> RegisteredGenerator:
    """Add a candidate to the transaction's project.

    The same artifact under the same name again renews its address and metrics, and keeps its
    status. Raises NameTaken when the name stands for another artifact, and ValueError when
    `sha256` is not 64 hex digits.
    """
    if len(bytes.fromhex(sha256)) != 32:
        raise ValueError("sha256 must have 64 hex digits.")
    result = await tx.execute(
        _REGISTER,
        name=name,
        kind=kind.value,
        base_model=base_model,
        artifact_uri=artifact_uri,
        sha256=sha256,
        metrics=orjson.dumps(metrics).decode(),
    )
    row = result.one_or_none()
    if row is None:
        raise NameTaken(
            f"Project {tx.project_id} has another generator {name!r}: choose another name."
        )
    return _generator(row)


async def find(tx: Transaction, name: str) -> RegisteredGenerator | None:
    row = (await tx.execute(_FIND, name=name)).one_or_none()
    return _generator(row) if row else None


async def registered(
    tx: Transaction, status: GeneratorStatus | None = None
) -> list[RegisteredGenerator]:
    """The project's generators, oldest first; with `status`, those alone."""
    rows = await tx.execute(_ALL, status=status.value if status else None)
    return [_generator(row) for row in rows]


def _generator(row: Any) -> RegisteredGenerator:
    return RegisteredGenerator(
        name=row.name,
        kind=GeneratorKind(row.kind),
        base_model=row.base_model,
        artifact_uri=row.artifact_uri,
        sha256=row.sha256,
        status=GeneratorStatus(row.status),
        metrics=row.metrics,
        created_at=row.created_at,
    )
