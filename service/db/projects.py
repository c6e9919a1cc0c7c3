"""Projects and their API keys."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import text
from uuid_utils.compat import uuid7

from service.db.session import Database, Transaction

_PREFIX_BYTES = 5
_PREFIX = re.compile(r"[0-9a-f]{10}")


class Scope(StrEnum):
    INGEST = "ingest"
    READ = "read"
    PERSONALIZE = "personalize"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of a key: never its secret. `prefix` is the part that may be shown."""

    key_id: UUID
    project_id: str
    prefix: str
    name: str
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class LiveKey:
    """A key that is neither revoked nor expired, as authentication needs it."""

    project_id: str
    scopes: frozenset[Scope]
    secret_sha256: bytes


_ENSURE_PROJECT = text(
    "insert into projects (project_id) values (:project_id) on conflict do nothing"
)
_CREATE = text(
    """
    insert into api_keys (project_id, key_id, prefix, secret_sha256, scopes, name, expires_at)
    values (:project_id, :key_id, :prefix, :secret_sha256, cast(:scopes as text[]), :name,
            now() + cast(:lifetime as interval))
    """
)
_LIST = text(
    """
    select key_id, project_id, prefix, name, scopes, created_at, expires_at, revoked_at
    from api_keys where project_id = :project_id order by created_at
    """
)
_REVOKE = text(
    """
    update api_keys set revoked_at = now()
    where project_id = :project_id and prefix = :prefix and revoked_at is null
    """
)
_EXPIRE = text(
    """
    update api_keys set expires_at = least(expires_at, now() + make_interval(secs => :seconds))
    where project_id = :project_id and prefix = :prefix and revoked_at is null
      and (expires_at is null or expires_at > now())
    returning name, scopes
    """
)
_LOOKUP = text("select project_id, scopes, secret_sha256 from find_api_key(:prefix)")
_ANY_LIVE = text("select any_live_api_key()")


def split_key(key: str) -> tuple[str, str] | None:
    """(prefix, secret) of a key as a caller sends it, or None if it does not look like one."""
    parts = key.split("_")
    if len(parts) != 3 or parts[0] != "bump" or not _PREFIX.fullmatch(parts[1]):
        return None
    return parts[1], parts[2]


def secret_digest(secret: str) -> bytes:
    """SHA-256: the secret has 256 random bits, so a slow hash would protect nothing."""
    return hashlib.sha256(secret.encode()).digest()


async def ensure_project(tx: Transaction) -> None:
    await tx.execute(_ENSURE_PROJECT)


async def create_key(
    tx: Transaction, *, name: str, scopes: Sequence[Scope], lifetime_seconds: float | None
) -> str:
    """Create a key and return it whole: the only time that its secret exists in the clear."""
    prefix = secrets.token_hex(_PREFIX_BYTES)
    secret = secrets.token_hex(32)
    await tx.execute(
        _CREATE,
        key_id=uuid7(),
        prefix=prefix,
        secret_sha256=secret_digest(secret),
        scopes=[scope.value for scope in scopes],
        name=name,
        lifetime=None if lifetime_seconds is None else timedelta(seconds=lifetime_seconds),
    )
    return f"bump_{prefix}_{secret}"


async def keys(tx: Transaction) -> list[ApiKey]:
    rows = await tx.execute(_LIST)
    return [
        ApiKey(
            key_id=row.key_id,
            project_id=row.project_id,
            prefix=row.prefix,
            name=row.name,
            scopes=frozenset(Scope(scope) for scope in row.scopes),
            created_at=row.created_at,
            expires_at=row.expires_at,
            revoked_at=row.revoked_at,
        )
        for row in rows
    ]


async def revoke_key(tx: Transaction, prefix: str) -> bool:
    """Revoke at once; False if there is no live key with this prefix."""
    return bool((await tx.execute(_REVOKE, prefix=prefix)).rowcount)


async def expire_key(
    tx: Transaction, prefix: str, seconds: float
) -> tuple[str, list[Scope]] | None:
    """Let a live key end in `seconds`; returns its name and scopes, None if there is none."""
    row = (await tx.execute(_EXPIRE, prefix=prefix, seconds=seconds)).one_or_none()
    return (row.name, [Scope(scope) for scope in row.scopes]) if row else None


async def find_live_key(database: Database, prefix: str) -> LiveKey | None:
    """Look a key up by its prefix, across projects, through a SECURITY DEFINER function."""
    async with database.across_projects() as connection:
        row = (await connection.execute(_LOOKUP, {"prefix": prefix})).one_or_none()
    if row is None:
        return None
    scopes = frozenset(Scope(scope) for scope in row.scopes)
    return LiveKey(row.project_id, scopes, bytes(row.secret_sha256))


async def any_live_key(database: Database) -> bool:
    """Whether any project has a live key: a server that only takes keys needs one."""
    async with database.across_projects() as connection:
        return bool((await connection.execute(_ANY_LIVE)).scalar_one())
