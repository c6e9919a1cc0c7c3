"""A project's users as people look at them: who there is, how profiles did, on what evidence."""

from service.db import interactions, prequential, profiles, users
from service.db.prequential import Score
from service.db.session import Database
from service.db.users import UserSummary
from service.domain.interaction import Interaction
from service.domain.profile import Corrections
from service.errors import UserNotFound
from service.flows.revise_profile import find_version, require_profiling


async def list_users(
    database: Database, project_id: str, *, prefix: str, after: str, limit: int, judge: str
) -> list[UserSummary]:
    """Up to `limit` users whose id begins with `prefix`, in key order, from behind `after` on.

    Scores are those by `judge`.
    """
    async with database.transaction(project_id) as tx:
        return await users.summaries(tx, prefix=prefix, after=after, limit=limit, judge=judge)


async def read_corrections(database: Database, project_id: str, user_id: str) -> Corrections:
    """What was pinned and suppressed last. Raises UserNotFound."""
    async with database.transaction(project_id) as tx:
        if await users.find(tx, user_id) is None:
            raise UserNotFound
        return await profiles.find_corrections(tx, user_id)


async def read_scores(
    database: Database, project_id: str, user_id: str, *, judge: str
) -> list[Score]:
    """What served the user, window by window, oldest first. Raises as `list_versions`."""
    async with database.transaction(project_id) as tx:
        await require_profiling(tx, user_id)
        return await prequential.of_user(tx, user_id, judge=judge)


async def read_evidence(
    database: Database, project_id: str, user_id: str, version: int
) -> list[Interaction]:
    """The interactions that support a version's statements, newest first.

    Raises UserNotFound, ProfilingPaused or VersionNotFound.
    """
    async with database.transaction(project_id) as tx:
        await require_profiling(tx, user_id)
        profile = await find_version(tx, user_id, version)
        keys = {key for statement in profile.statements for key in statement.evidence}
        return await interactions.by_keys(tx, user_id, keys)
