"""What people do to a profile: correct it, roll it back, ask for a new one, compare versions."""

import asyncio
from dataclasses import dataclass
from time import monotonic

from service.cache import Entry, ProfileCache, WriteToken
from service.db import profiles, regenerations, sensitive_categories, users
from service.db.session import Database, Transaction
from service.db.users import UserRecord
from service.domain.neutral import neutralise
from service.domain.profile import (
    Corrections,
    Profile,
    ProfileDiff,
    ProfileOrigin,
    ProfileStatus,
    Statement,
    apply_corrections,
    diff_statements,
    render_text,
)
from service.domain.tokens import estimate_tokens
from service.errors import (
    ProfileNotFound,
    ProfilingPaused,
    TooFewInteractions,
    UserNotFound,
    VersionNotFound,
)
from service.flows.vetting import permitted

_POLL_SECONDS = 0.05


async def correct(
    database: Database,
    cache: ProfileCache,
    project_id: str,
    user_id: str,
    corrections: Corrections,
) -> Profile | None:
    """Store the corrections and serve the corrected profile at once.

    What an earlier correction suppressed and this one does not comes back with the regeneration
    that is asked for. Returns the version that serves now, None where there is no profile yet or
    profiling is paused. Raises UserNotFound.
    """
    corrections = Corrections(
        pinned=tuple(text for text in map(neutralise, corrections.pinned) if text),
        suppressed=corrections.suppressed,
    )
    token = await cache.begin_write(project_id, user_id)
    async with database.writing(project_id, [user_id]) as tx:
        user = await _lock(tx, user_id)
        await profiles.put_corrections(tx, user_id, corrections)
        serving = await profiles.serving(tx, user_id)
        if serving is None or user.paused:
            return None
        statements = apply_corrections(serving.statements, corrections)
        await regenerations.request_now(tx, user_id, user.revision)
        if statements == serving.statements:
            return serving
        written = await _serve_again(tx, serving, statements, ProfileOrigin.EDITED)
    await _publish(cache, project_id, user, written, token=token)
    return written


async def roll_back(
    database: Database, cache: ProfileCache, project_id: str, user_id: str, version: int
) -> Profile:
    """Serve what an earlier version said, as a new version; corrections still apply.

    What it says of a sensitive category that is off by now is left out. It serves until the
    history moves on. Raises UserNotFound, ProfilingPaused or VersionNotFound.
    """
    token = await cache.begin_write(project_id, user_id)
    async with database.writing(project_id, [user_id]) as tx:
        user = await _lock(tx, user_id)
        if user.paused:
            raise ProfilingPaused
        earlier = await find_version(tx, user_id, version)
        corrections = await profiles.find_corrections(tx, user_id)
        allowed = await sensitive_categories.allowed_until_commit(tx)
        statements = apply_corrections(permitted(earlier.statements, allowed), corrections)
        written = await _serve_again(tx, earlier, statements, ProfileOrigin.ROLLED_BACK)
    await _publish(cache, project_id, user, written, token=token)
    return written


@dataclass(frozen=True, slots=True)
class RequestedRegeneration:
    """The revision that the new profile will have read, and the newest version until then."""

    revision: int
    newest_version: int


async def request_regeneration(
    database: Database, project_id: str, user_id: str, min_interactions: int
) -> RequestedRegeneration:
    """Ask for a new profile without debounce.

    Raises UserNotFound, ProfilingPaused or TooFewInteractions.
    """
    async with database.writing(project_id, [user_id]) as tx:
        user = await _lock(tx, user_id)
        if user.paused:
            raise ProfilingPaused()
        if user.interaction_count < min_interactions:
            raise TooFewInteractions(
                f"The user has {user.interaction_count} interactions; "
                f"a profile needs {min_interactions}."
            )
        await regenerations.request_now(tx, user_id, user.revision)
        newest = await profiles.newest(tx, user_id)
        return RequestedRegeneration(user.revision, newest.version if newest else 0)


async def await_regeneration(
    database: Database,
    project_id: str,
    user_id: str,
    requested: RequestedRegeneration,
    *,
    wait: float,
) -> Profile | None:
    """The serving profile once a worker has been at it, None if `wait` seconds were too short.

    It may be the old one: a rewrite that says nothing new makes no version.
    """
    deadline = monotonic() + wait
    while True:
        async with database.transaction(project_id) as tx:
            newest = await profiles.newest(tx, user_id)
            written = newest is not None and newest.version > requested.newest_version
            if written or await regenerations.find(tx, user_id) is None:
                return await profiles.serving(tx, user_id)
        if monotonic() + _POLL_SECONDS > deadline:
            return None
        await asyncio.sleep(_POLL_SECONDS)


async def compare(
    database: Database, project_id: str, user_id: str, before: int, after: int
) -> ProfileDiff:
    """What changed from version `before` to version `after`. Raises as `get_version` does."""
    async with database.transaction(project_id) as tx:
        await require_profiling(tx, user_id)
        old = await find_version(tx, user_id, before)
        new = await find_version(tx, user_id, after)
    return diff_statements(old.statements, new.statements)


async def list_versions(
    database: Database, project_id: str, user_id: str, *, before: int | None, limit: int
) -> list[Profile]:
    """Versions newest first, below `before`.

    Raises UserNotFound, ProfilingPaused, or ProfileNotFound where there is none at all.
    """
    async with database.transaction(project_id) as tx:
        await require_profiling(tx, user_id)
        found = await profiles.versions(tx, user_id, before=before, limit=limit)
    if not found and before is None:
        raise ProfileNotFound("The user has no profile version.")
    return found


async def get_version(database: Database, project_id: str, user_id: str, version: int) -> Profile:
    """One version. Raises UserNotFound, ProfilingPaused or VersionNotFound."""
    async with database.transaction(project_id) as tx:
        await require_profiling(tx, user_id)
        return await find_version(tx, user_id, version)


async def require_profiling(tx: Transaction, user_id: str) -> UserRecord:
    """The user, unless there is none or they are paused: UserNotFound, ProfilingPaused."""
    user = await users.find(tx, user_id)
    if user is None:
        raise UserNotFound
    if user.paused:
        raise ProfilingPaused
    return user


async def _lock(tx: Transaction, user_id: str) -> UserRecord:
    user = await users.lock(tx, user_id)
    if user is None:
        raise UserNotFound()
    return user


async def find_version(tx: Transaction, user_id: str, version: int) -> Profile:
    """Raises VersionNotFound."""
    found = await profiles.version(tx, user_id, version)
    if found is None:
        raise VersionNotFound(f"The user has no profile version {version}.")
    return found


async def _serve_again(
    tx: Transaction,
    source: Profile,
    statements: tuple[Statement, ...],
    origin: ProfileOrigin,
) -> Profile:
    return await profiles.add_version(
        tx,
        source.user_id,
        statements=statements,
        revision=source.revision,
        generator=source.generator,
        tokens=estimate_tokens(render_text(statements)),
        status=ProfileStatus.SERVING,
        origin=origin,
    )


async def _publish(
    cache: ProfileCache, project_id: str, user: UserRecord, written: Profile, *, token: WriteToken
) -> None:
    entry = Entry.of_profile(project_id, written)
    await cache.store(entry, revision=user.revision, token=token)
