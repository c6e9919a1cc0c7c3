"""`bump regenerations`: what waits, what is parked and why, and how to wake it."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Literal

from service.config import Settings
from service.db import profiles, regenerations, users
from service.db.regenerations import RegenerationRecord
from service.db.session import open_database
from service.errors import ConfigurationError


async def list_records(
    settings: Settings, project_id: str, state: Literal["all", "parked", "waiting"], limit: int
) -> list[RegenerationRecord]:
    database = open_database(_url(settings), pool_size=1)
    try:
        async with database.transaction(project_id) as tx:
            return await regenerations.records(tx, state=state, limit=limit)
    finally:
        await database.close()


async def requeue(settings: Settings, project_id: str, user_id: str | None) -> int:
    """Wake a parked user, or every parked one; returns how many."""
    database = open_database(_url(settings), pool_size=1)
    try:
        async with database.transaction(project_id) as tx:
            return await regenerations.requeue_parked(tx, user_id)
    finally:
        await database.close()


async def request_all(settings: Settings, project_id: str) -> int:
    """Ask for a new profile of every eligible user; returns how many were not waiting already."""
    database = open_database(_url(settings), pool_size=1)
    try:
        async with database.transaction(project_id) as tx:
            return await regenerations.request_all(tx, settings.min_interactions)
    finally:
        await database.close()


async def explain(settings: Settings, project_id: str, user_id: str) -> dict[str, Any]:
    """Why a user's profile is as it is: the history, the job and the serving version, in words."""
    database = open_database(_url(settings), pool_size=1)
    try:
        async with database.transaction(project_id) as tx:
            user = await users.find(tx, user_id)
            record = await regenerations.find(tx, user_id)
            serving = await profiles.serving(tx, user_id)
    finally:
        await database.close()
    if user is None:
        return {"verdict": "unknown: no interaction of this user has been received"}
    return {
        "verdict": _verdict(settings, user.paused, user.interaction_count, record),
        "revision": user.revision,
        "interactions": user.interaction_count,
        "profile_version": serving.version if serving else None,
        "profile_revision": serving.revision if serving else None,
        "regeneration": asdict(record) if record else None,
    }


def _verdict(
    settings: Settings, paused: bool, interactions: int, record: RegenerationRecord | None
) -> str:
    if paused:
        return "paused: the user objected to profiling"
    if record is None:
        if interactions < settings.min_interactions:
            return f"too few interactions: {interactions} of {settings.min_interactions}"
        return "idle: the profile has read the whole history"
    if record.parked_at:
        return f"parked after {record.attempts} attempts: {record.last_error}"
    if record.leased:
        return f"running (attempt {record.attempts}), lease until {record.due_at}"
    if record.due_at and record.due_at > datetime.now(UTC):
        return f"waiting until {record.due_at} (debounce or backoff)"
    return "due: the next free worker takes it"


def _url(settings: Settings) -> str:
    if settings.database_url is None:
        raise ConfigurationError("Set BUMP_DATABASE_URL, or start `bump up` first.")
    return settings.database_url.get_secret_value()
