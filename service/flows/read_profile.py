"""Read the serving profile: cache, else one reader asks Postgres while the others wait for it."""

import asyncio
from dataclasses import dataclass
from time import monotonic

from service.cache import Entry, Hit, NoHit, ProfileCache
from service.db import profiles, regenerations, users
from service.db.session import Database
from service.errors import (
    InvalidField,
    ProfileNotFound,
    ProfilingPaused,
    RevisionNotReached,
    TooFewInteractions,
    UserNotFound,
)
from service.flows.revise_profile import find_version, require_profiling
from service.flows.shared_lookups import SharedLookups
from service.telemetry import CACHE_READS

# How long a reader waits for another process's fill before it asks Postgres itself.
_FILL_WAIT_SECONDS = 0.25
_FILL_POLL_SECONDS = 0.01
_HITS = CACHE_READS.labels("hit")
_REVISION_POLL_SECONDS = (0.05, 0.1, 0.2)


@dataclass(frozen=True, slots=True)
class ServedProfile:
    """What a reader gets: final JSON bytes. `stale`: the history has moved on since.

    `prompt_statements` is for prompts: a JSON array of [text, tokens, pinned], neutralised.
    """

    version: int
    revision: int
    stale: bool
    etag: str
    body: bytes
    prompt_statements: bytes


class VersionReader:
    """Reads one version instead of the one that serves, past the cache."""

    def __init__(self, database: Database, version: int) -> None:
        self._database = database
        self._version = version

    async def read(self, project_id: str, user_id: str) -> ServedProfile | None:
        """Raises UserNotFound, ProfilingPaused or VersionNotFound."""
        async with self._database.transaction(project_id) as tx:
            user = await require_profiling(tx, user_id)
            profile = await find_version(tx, user_id, self._version)
        return _served(Entry.of_profile(project_id, profile), user.revision)


class ProfileReader:
    """Reads profiles for one process; concurrent misses of one user share a single lookup."""

    def __init__(self, database: Database, cache: ProfileCache) -> None:
        self._database = database
        self._cache = cache
        self._shared = SharedLookups(database)
        self._lookups: dict[tuple[str, str], asyncio.Task[ServedProfile | None]] = {}

    async def read(self, project_id: str, user_id: str) -> ServedProfile | None:
        """The serving profile, or None where there is none (unknown user, too new, paused)."""
        answer = await self._cache.read(project_id, user_id)
        if isinstance(answer, Hit):
            _HITS.inc()
            return _served(answer.entry, answer.revision)
        CACHE_READS.labels(answer.value).inc()
        return await self._look_up_once(project_id, user_id, answer)

    async def read_existing(self, project_id: str, user_id: str) -> ServedProfile:
        """Like `read`, but raises UserNotFound, ProfilingPaused or ProfileNotFound."""
        served = await self.read(project_id, user_id)
        if served is None:
            raise await self._why_absent(project_id, user_id)
        return served

    async def read_at_least(
        self, project_id: str, user_id: str, *, min_revision: int, wait: float
    ) -> ServedProfile:
        """A profile that has read `min_revision`, waiting up to `wait` seconds for it.

        With `wait` > 0 the regeneration is asked for at once. Raises RevisionNotReached when the
        time is over, InvalidField for a revision that the history does not have, and at once
        TooFewInteractions where no profile is due.
        """
        deadline = monotonic() + wait
        served = await self.read(project_id, user_id)
        if served is None or served.revision < min_revision:
            await self._check_reachable(
                project_id, user_id, min_revision, ask=wait > 0, profiled=served is not None
            )
        polls = iter(_REVISION_POLL_SECONDS)
        pause = next(polls)
        while served is None or served.revision < min_revision:
            if monotonic() + pause > deadline:
                raise RevisionNotReached(
                    f"The profile of this user has not read revision {min_revision} yet; "
                    "ask again, or with a longer `wait`.",
                    min_revision=min_revision,
                    revision=served.revision if served else None,
                )
            await asyncio.sleep(pause)
            pause = next(polls, pause)
            served = await self.read(project_id, user_id)
        return served

    async def _look_up_once(
        self, project_id: str, user_id: str, reason: NoHit
    ) -> ServedProfile | None:
        key = (project_id, user_id)
        lookup = self._lookups.get(key)
        if lookup is None:
            lookup = asyncio.create_task(self._look_up(project_id, user_id, reason))
            self._lookups[key] = lookup
            lookup.add_done_callback(lambda _: self._lookups.pop(key, None))
        # Shielded: a client that leaves must not take the others' lookup with it.
        return await asyncio.shield(lookup)

    async def _look_up(self, project_id: str, user_id: str, reason: NoHit) -> ServedProfile | None:
        if reason is not NoHit.MISS:
            entry, revision = await self._from_database(project_id, user_id)
            return _served(entry, revision)
        token = await self._cache.begin_fill(project_id, user_id)
        if token is None:
            answer = await self._wait_for_fill(project_id, user_id)
            if answer is not None:
                return _served(answer.entry, answer.revision)
        entry, revision = await self._from_database(project_id, user_id)
        if token is not None:
            await self._cache.store(entry, revision=revision, token=token)
        return _served(entry, revision)

    async def _wait_for_fill(self, project_id: str, user_id: str) -> Hit | None:
        deadline = monotonic() + _FILL_WAIT_SECONDS
        while monotonic() < deadline:
            await asyncio.sleep(_FILL_POLL_SECONDS)
            answer = await self._cache.read(project_id, user_id)
            if isinstance(answer, Hit):
                return answer
            if answer is not NoHit.MISS:
                return None
        return None

    async def _from_database(self, project_id: str, user_id: str) -> tuple[Entry, int]:
        found = await self._shared.find(project_id, user_id)
        if found is None:
            return Entry.absent(project_id, user_id), 0
        profile, revision = found
        return Entry.of_profile(project_id, profile), revision

    async def _check_reachable(
        self, project_id: str, user_id: str, min_revision: int, *, ask: bool, profiled: bool
    ) -> None:
        async with self._database.writing(project_id, [user_id] if ask else []) as tx:
            user = await users.lock(tx, user_id) if ask else await users.find(tx, user_id)
            if user is None:
                raise UserNotFound()
            if user.paused:
                raise ProfilingPaused()
            if min_revision > user.revision:
                reason = f"the history is at {user.revision}; it has no {min_revision}"
                raise InvalidField(("min_revision", reason))
            if not ask:
                return
            if not profiled and await regenerations.find(tx, user_id) is None:
                if await profiles.serving(tx, user_id):
                    return  # Written since the caller looked.
                raise TooFewInteractions(
                    f"Too few interactions for a profile ({user.interaction_count}); "
                    "waiting does not change that."
                )
            await regenerations.request_now(tx, user_id, user.revision)

    async def _why_absent(self, project_id: str, user_id: str) -> Exception:
        async with self._database.transaction(project_id) as tx:
            user = await users.find(tx, user_id)
        if user is None:
            return UserNotFound()
        if user.paused:
            return ProfilingPaused()
        return ProfileNotFound(
            f"The user has {user.interaction_count} interactions and no profile yet: it is "
            "either being written or waits for more interactions.",
            interactions=user.interaction_count,
            revision=user.revision,
        )


def _served(entry: Entry, revision: int) -> ServedProfile | None:
    if entry.version == 0:
        return None
    stale = revision > entry.revision
    return ServedProfile(
        version=entry.version,
        revision=entry.revision,
        stale=stale,
        etag=entry.stale_etag if stale else entry.fresh_etag,
        body=entry.stale_body if stale else entry.fresh_body,
        prompt_statements=entry.prompt_statements,
    )
