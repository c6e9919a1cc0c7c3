"""How well the profiles of a project predict what its users do next."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from service.db import prequential
from service.db.prequential import DayQuality, GeneratorQuality, UserQuality
from service.db.session import Database


@dataclass(frozen=True, slots=True)
class Quality:
    """A project's scores by one judge: by generator, the worst users, and day by day."""

    judge: str
    generators: list[GeneratorQuality]
    worst_users: list[UserQuality]
    days: list[DayQuality]

    def document(self) -> dict[str, Any]:
        return asdict(self)


async def read_quality(
    database: Database, project_id: str, *, judge: str, days: int, worst: int
) -> Quality:
    """What `judge` scored in the last `days`, with the `worst` users."""
    since = datetime.now(UTC) - timedelta(days=days)
    async with database.transaction(project_id) as tx:
        return Quality(
            judge,
            await prequential.generator_quality(tx, judge=judge, since=since),
            await prequential.worst_users(tx, judge=judge, since=since, limit=worst),
            await prequential.daily_quality(tx, judge=judge, since=since),
        )
