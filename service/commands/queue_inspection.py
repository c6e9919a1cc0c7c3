"""`bump regenerations`: what waits, what is parked and why, and how to wake it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from service.commands.settings import database_url
from service.config import Settings
from service.db.regenerations import RegenerationRecord
from service.db.session import Database, open_database
from service.errors import UserNotFound
from service.flows import inspect_regenerations
from service.flows.inspect_regenerations import Listed, state_of


async def list_records(
    settings: Settings, project_id: str, state: Listed, limit: int
) -> list[RegenerationRecord]:
    async with _database(settings) as database:
        return await inspect_regenerations.list_regenerations(database, project_id, state, limit)


async def requeue(settings: Settings, project_id: str, user_id: str | None) -> int:
    """Wake a parked user, or every parked one; returns how many."""
    async with _database(settings) as database:
        return await inspect_regenerations.requeue(database, project_id, user_id)


async def explain(settings: Settings, project_id: str, user_id: str) -> dict[str, Any]:
    """Why a user's profile is as it is: the history, the job and the serving version, in words."""
    async with _database(settings) as database:
        try:
            found = await inspect_regenerations.explain(
                database, project_id, user_id, settings.min_interactions
            )
        except UserNotFound:
            return {"verdict": "unknown: no interaction of this user has been received"}
    return {
        "verdict": found.verdict,
        "revision": found.user.revision,
        "interactions": found.user.interaction_count,
        "profile_version": found.serving.version if found.serving else None,
        "profile_revision": found.serving.revision if found.serving else None,
        "regeneration": asdict(found.regeneration) if found.regeneration else None,
    }


def table_row(record: RegenerationRecord) -> dict[str, Any]:
    """What fits a terminal: where the regeneration stands and when it goes on, in local time."""
    state = state_of(record)
    due = "now" if state == "due" else ""
    if record.due_at and state in ("waiting", "running"):
        due = f"{record.due_at.astimezone():%Y-%m-%d %H:%M:%S}"
    return {
        "user_id": record.user_id,
        "state": state,
        "due": due,
        "attempts": record.attempts,
        "last_error": record.last_error,
    }


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[Database]:
    database = open_database(database_url(settings), pool_size=1)
    try:
        yield database
    finally:
        await database.close()
