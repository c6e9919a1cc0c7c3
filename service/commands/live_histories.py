"""Histories of a live project, for what measures or trains generators."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.config import Settings
from service.db.session import Database, open_database
from service.errors import ConfigurationError
from service.evaluation.preparation import Histories
from service.flows.sample_histories import sample_histories

# Users of a project that a training takes at most.
TRAINED_ON = 10_000


async def live_histories(
    settings: Settings, project: str, *, users: int, min_interactions: int, seed: int
) -> Histories:
    """Of at most `users` users of a project, by the seed. Raises ConfigurationError without one."""
    async with project_database(settings) as database:
        found = await sample_histories(
            database,
            project,
            count=users,
            min_interactions=min_interactions,
            history_limit=settings.history_limit,
            seed=seed,
        )
    if not found:
        raise ConfigurationError(
            f"Project {project} has no user with enough interactions: hold out less, or wait for "
            "longer histories."
        )
    return found


@asynccontextmanager
async def project_database(settings: Settings) -> AsyncIterator[Database]:
    if settings.database_url is None:
        raise ConfigurationError("Name a file with --histories, or set BUMP_DATABASE_URL.")
    database = open_database(settings.database_url.get_secret_value(), pool_size=1)
    try:
        yield database
    finally:
        await database.close()
