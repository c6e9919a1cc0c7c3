"""A project's regenerations as people look at them: what waits, what is parked, and why."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from service.db import freshness, profiles, regenerations, users
from service.db.freshness import Freshness
from service.db.regenerations import RegenerationRecord
from service.db.session import Database
from service.db.users import UserRecord
from service.domain.profile import Profile, ProfileOrigin, ProfileStatus
from service.errors import UserNotFound

RegenerationState = Literal["parked", "running", "waiting", "due"]
Listed = Literal["all", "parked", "waiting"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a user's profile is as it is: the history, the job and the serving version, in words."""

    verdict: str
    user: UserRecord
    serving: Profile | None
    newest: Profile | None
    regeneration: RegenerationRecord | None


async def list_regenerations(
    database: Database, project_id: str, state: Listed, limit: int
) -> list[RegenerationRecord]:
    """What a worker takes first stands first."""
    async with database.transaction(project_id) as tx:
        return await regenerations.records(tx, state=state, limit=limit)


async def read_freshness(database: Database, project_id: str) -> Freshness:
    async with database.transaction(project_id) as tx:
        return await freshness.read(tx)


async def requeue(database: Database, project_id: str, user_id: str | None) -> int:
    """Wake a parked user, or every parked one; returns how many."""
    async with database.transaction(project_id) as tx:
        return await regenerations.requeue_parked(tx, user_id)


async def explain(
    database: Database, project_id: str, user_id: str, min_interactions: int
) -> Explanation:
    """Raises UserNotFound."""
    async with database.transaction(project_id) as tx:
        user = await users.find(tx, user_id)
        if user is None:
            raise UserNotFound
        record = await regenerations.find(tx, user_id)
        serving = await profiles.serving(tx, user_id)
        newest = await profiles.newest(tx, user_id)
    verdict = _verdict(user, record, serving, newest, min_interactions)
    return Explanation(verdict, user, serving, newest, record)


def state_of(record: RegenerationRecord) -> RegenerationState:
    """Where it stands now; `waiting`: for the end of a debounce or of a backoff."""
    if record.parked_at:
        return "parked"
    if record.leased:
        return "running"
    return "waiting" if record.due_at and record.due_at > datetime.now(UTC) else "due"


def _verdict(
    user: UserRecord,
    record: RegenerationRecord | None,
    serving: Profile | None,
    newest: Profile | None,
    min_interactions: int,
) -> str:
    if user.paused:
        return "paused: the user objected to profiling"
    if record is None:
        if user.interaction_count < min_interactions:
            return f"too few interactions: {user.interaction_count} of {min_interactions}"
        return _idle_verdict(user.revision, serving, newest)
    until = record.due_at.isoformat(timespec="seconds") if record.due_at else "for ever"
    match state_of(record):
        case "parked":
            return f"parked after {record.attempts} attempts: {record.last_error}"
        case "running":
            return f"running (attempt {record.attempts}), lease until {until}"
        case "waiting":
            return f"waiting until {until} (debounce or backoff)"
        case "due":
            return "due: the next free worker takes it"


def _idle_verdict(revision: int, serving: Profile | None, newest: Profile | None) -> str:
    """Why nothing waits, where the serving profile may have read less than the whole history."""
    if serving and serving.revision >= revision:
        return "idle: the profile has read the whole history"
    if newest and newest.status is ProfileStatus.QUARANTINED:
        kept = f"version {serving.version} still serves" if serving else "nothing serves"
        return f"quarantined: version {newest.version} changed too much, so {kept}"
    if serving is None:
        return "no profile, and none was asked for: `bump backfill --everyone`"
    behind = f"revision {serving.revision} of {revision}"
    if serving.origin is ProfileOrigin.ROLLED_BACK:
        return f"rolled back: version {serving.version} says what was true at {behind}"
    return f"behind: the profile has read {behind}: `bump backfill --everyone`"
