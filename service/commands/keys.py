"""`bump keys`: API keys of a project. The secret is shown once and never stored."""

from collections.abc import Sequence

from service.commands.settings import admin_url
from service.config import Settings
from service.db import projects
from service.db.projects import ApiKey, Scope
from service.db.session import open_database

ROTATION_GRACE_SECONDS = 24 * 3600.0


async def create_key(
    settings: Settings, project_id: str, name: str, scopes: Sequence[Scope], days: float | None
) -> str:
    """Create a key, and its project where it is new; returns the whole key."""
    database = open_database(admin_url(settings), pool_size=1)
    try:
        async with database.transaction(project_id) as tx:
            await projects.ensure_project(tx)
            lifetime = None if days is None else days * 86_400
            return await projects.create_key(
                tx, name=name, scopes=scopes, lifetime_seconds=lifetime
            )
    finally:
        await database.close()


async def list_keys(settings: Settings, project_id: str) -> list[ApiKey]:
    database = open_database(admin_url(settings), pool_size=1)
    try:
        async with database.transaction(project_id) as tx:
            return await projects.keys(tx)
    finally:
        await database.close()


async def revoke_key(settings: Settings, project_id: str, prefix: str) -> bool:
    """False when the project has no live key with this prefix."""
    database = open_database(admin_url(settings), pool_size=1)
    try:
        async with database.transaction(project_id) as tx:
            return await projects.revoke_key(tx, prefix)
    finally:
        await database.close()


async def rotate_key(settings: Settings, project_id: str, prefix: str) -> str | None:
    """A new key like the old one, which keeps working for a day; None if there is no old one."""
    database = open_database(admin_url(settings), pool_size=1)
    try:
        async with database.transaction(project_id) as tx:
            old = await projects.expire_key(tx, prefix, ROTATION_GRACE_SECONDS)
            if old is None:
                return None
            name, scopes = old
            return await projects.create_key(tx, name=name, scopes=scopes, lifetime_seconds=None)
    finally:
        await database.close()
