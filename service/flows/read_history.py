"""Read a user's history page by page."""

from datetime import datetime

from service.db import interactions, users
from service.db.session import Database
from service.domain.interaction import Interaction
from service.errors import UserNotFound


async def read_history(
    database: Database,
    project_id: str,
    user_id: str,
    *,
    before: tuple[datetime, str, str] | None,
    limit: int,
) -> list[Interaction]:
    """Up to `limit` interactions before the order key, newest first. Raises UserNotFound."""
    async with database.transaction(project_id) as tx:
        if await users.find(tx, user_id) is None:
            raise UserNotFound()
        return await interactions.page_before(tx, user_id, before=before, limit=limit)
