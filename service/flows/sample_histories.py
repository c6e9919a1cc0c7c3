"""Histories of some users of a project, to measure generators by or to train them on."""

from service.db import interactions, users
from service.db.session import Database
from service.domain.interaction import Interaction

_USERS_A_TRANSACTION = 50


async def sample_histories(
    database: Database,
    project_id: str,
    *,
    count: int,
    min_interactions: int,
    history_limit: int,
    seed: int,
) -> dict[str, tuple[Interaction, ...]]:
    """By user id, the newest `history_limit` interactions, oldest first, of at most `count` users.

    The same project and seed give the same users; those who object to profiling are none of them.
    No transaction lasts for more than a few users, so writers are not kept waiting.
    """
    async with database.transaction(project_id) as tx:
        chosen = await users.sample(tx, count, min_interactions=min_interactions, seed=seed)
    histories = {}
    for start in range(0, len(chosen), _USERS_A_TRANSACTION):
        async with database.transaction(project_id) as tx:
            for user_id in chosen[start : start + _USERS_A_TRANSACTION]:
                histories[user_id] = await interactions.latest(tx, user_id, limit=history_limit)
    return histories
