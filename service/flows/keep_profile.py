"""The policy `drift`: a due profile that still predicts its user is kept.

Such a profile stays `stale`, for there are interactions that it has not read; it was tested on
them instead. `bump.drift` holds the rule.
"""

from dataclasses import dataclass

from service.bump.drift import expected_score, still_predicts
from service.cache import Entry, ProfileCache
from service.db import claims, prequential, profiles, sensitive_categories, users
from service.db.claims import Job
from service.db.session import Database, Transaction
from service.domain.profile import Profile
from service.errors import LeaseLost
from service.flows.regenerate import Finished, Snapshot
from service.flows.vetting import permitted


@dataclass(frozen=True, slots=True)
class Drift:
    """`tolerance`: how far below what is usual for its user a kept profile may score.

    `max_unread`: interactions that it may leave unread.
    """

    tolerance: float
    max_unread: int


async def keep_profile(
    database: Database,
    cache: ProfileCache,
    job: Job,
    snapshot: Snapshot,
    drift: Drift,
    *,
    generator: str,
    judge: str,
) -> Finished | None:
    """Finish the job without a new version; None where the profile is to be written anew.

    That is: there is none, or another generator wrote it, somebody asked for a new one, as a
    correction does, too much is unread, it speaks of a sensitive category that is off by now, or by
    `judge` it predicts its user no longer. Raises LeaseLost.
    """
    serving = snapshot.serving
    if serving is None or serving.generator != generator:
        return None
    if sum(i.revision > serving.revision for i in snapshot.history) >= drift.max_unread:
        return None
    token = await cache.begin_write(job.project_id, job.user_id)
    async with database.transaction(job.project_id) as tx:
        user = await users.lock(tx, job.user_id)
        asked = await claims.was_asked_for(tx, job)
        if user is None or asked is None:
            raise LeaseLost
        allowed = await sensitive_categories.allowed_until_commit(tx)
        if permitted(serving.statements, allowed) != serving.statements:
            return None
        if asked or not await _still_predicts(tx, serving, judge, drift.tolerance):
            return None
        # With the scores that it has now.
        serving = await profiles.serving(tx, job.user_id)
        await claims.finish(tx, job, snapshot.revision)
    if serving:
        entry = Entry.of_profile(job.project_id, serving)
        await cache.store(entry, revision=user.revision, token=token)
    return Finished("kept", serving, user.revision)


async def _still_predicts(tx: Transaction, serving: Profile, judge: str, tolerance: float) -> bool:
    own = await prequential.of_user(tx, serving.user_id, judge=judge)
    usual = await prequential.usual_score(tx, serving.generator, judge=judge)
    return still_predicts(
        [score.score for score in own if score.version == serving.version],
        expected_score([score.score for score in own], usual),
        tolerance=tolerance,
    )
