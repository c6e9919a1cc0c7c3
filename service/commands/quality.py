"""`bump quality`: how well the profiles of a project predict what its users do next."""

from service.config import Settings
from service.db.session import open_database
from service.errors import ConfigurationError
from service.flows import read_quality as flow
from service.flows.read_quality import Quality


async def read_quality(settings: Settings, project_id: str, *, days: int, worst: int) -> Quality:
    """What was scored in the last `days`, by the judge of the settings, with `worst` users.

    Raises ConfigurationError where no database is named.
    """
    if settings.database_url is None:
        raise ConfigurationError("Set BUMP_DATABASE_URL, or run it beside `bump up`.")
    database = open_database(settings.database_url.get_secret_value(), pool_size=1)
    try:
        return await flow.read_quality(
            database, project_id, judge=settings.judge, days=days, worst=worst
        )
    finally:
        await database.close()
