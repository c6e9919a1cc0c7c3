"""Rewrite one user's profile: read (transaction), generate (none open), finish (transaction).

The read fixes the revision that it saw; the finish writes only while the lease is ours. So a
worker that was frozen, an erasure or a pause in between leaves nothing behind.
"""

import asyncio
from dataclasses import dataclass, replace
from typing import Literal

import structlog

from service.cache import Entry, ProfileCache
from service.db import (
    claims,
    generators,
    interactions,
    population,
    profiles,
    sensitive_categories,
    users,
)
from service.db.claims import Job
from service.db.session import Database, Transaction
from service.domain.interaction import Interaction
from service.domain.pii import Redactor
from service.domain.profile import (
    Draft,
    Profile,
    ProfileOrigin,
    ProfileStatus,
    Statement,
    apply_corrections,
    confirms,
    implausible_change,
    render_text,
)
from service.domain.tokens import estimate_tokens
from service.errors import LeaseLost
from service.flows.vetting import count_forbidden, harmless, permitted
from service.generators.generator import Generator
from service.generators.population import Population
from service.telemetry import FRESHNESS_LAG

log = structlog.get_logger()

# Statistics are folded in when the uncounted interactions could change them by this share.
_COUNT_FROM_SHARE = 0.005

# Above every revision, to close a job whatever was requested.
_ANY_REVISION = 2**62


class GeneratorWithdrawn(Exception):
    """The generator was rolled back while it wrote: another one must write this profile."""


Outcome = Literal["written", "quarantined", "dropped", "kept"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a run reads, all as of `revision`. The history is oldest first."""

    revision: int
    counted_revision: int
    history: tuple[Interaction, ...]
    serving: Profile | None


@dataclass(frozen=True, slots=True)
class Finished:
    """How a run ended, and what serves after it a user whose history is at `revision`."""

    outcome: Outcome
    serving: Profile | None = None
    revision: int = 0

    @property
    def written(self) -> Profile | None:
        """The new version, where it serves."""
        return self.serving if self.outcome == "written" else None


async def read_snapshot(database: Database, job: Job, history_limit: int) -> Snapshot | None:
    """The history as of one revision; None where the user is gone or paused."""
    async with database.transaction(job.project_id) as tx:
        user = await users.find(tx, job.user_id)
        if user is None or user.paused:
            await claims.finish(tx, job, revision=_ANY_REVISION)
            return None
        history = await interactions.latest(
            tx, job.user_id, revision=user.revision, limit=history_limit
        )
        serving = await profiles.serving(tx, job.user_id)
        return Snapshot(user.revision, user.counted_revision, history, serving)


async def count_population(
    database: Database, project_id: str, snapshots: dict[str, Snapshot]
) -> Population:
    """The project's population, with what these users did since they were last counted.

    Exactly once: the statistics and each user's `counted_revision` change in one transaction. A
    trickle of events waits until it could matter, so the statistics are rewritten a number of
    times that grows with the logarithm of the history.
    """
    async with database.transaction(project_id) as tx:
        stored = await population.load(tx)
    known = await asyncio.to_thread(_population, stored)
    waiting = sum(len(_uncounted(snapshot)) for snapshot in snapshots.values())
    if waiting <= known.interactions * _COUNT_FROM_SHARE:
        return known
    async with database.transaction(project_id) as tx:
        # Whoever counts holds this row, so the users need no lock until the end.
        stored = await population.lock(tx, empty=Population.empty().to_bytes())
        counted = await users.counted_revisions(tx, sorted(snapshots))
        current = await asyncio.to_thread(_observe, stored, snapshots, counted)
        await population.save(tx, current.to_bytes(), current.interactions)
        await users.mark_counted(tx, {user: snapshots[user].revision for user in counted})
    return current


def _population(stored: bytes | None) -> Population:
    return Population.from_bytes(stored) if stored else Population.empty()


def _observe(stored: bytes, snapshots: dict[str, Snapshot], counted: dict[str, int]) -> Population:
    current = Population.from_bytes(stored)
    for user_id, counted_revision in counted.items():
        snapshot = replace(snapshots[user_id], counted_revision=counted_revision)
        seen = [i for i in snapshot.history if i.revision <= counted_revision]
        current.observe(seen, _uncounted(snapshot))
    return current


async def regenerate(
    database: Database,
    cache: ProfileCache,
    generator: Generator,
    job: Job,
    snapshot: Snapshot,
    known: Population,
    *,
    redactor: Redactor,
    revocable: str | None = None,
) -> Finished:
    """Write, check and finish one profile.

    `revocable`: the generator's name in the registry, where it may be taken back meanwhile. Raises
    LeaseLost when the job is not ours any more, and GeneratorWithdrawn; then nothing was written.
    """
    draft = await generator.write(snapshot.history, known, snapshot.serving)
    draft = await _vetted(draft, redactor)
    token = await cache.begin_write(job.project_id, job.user_id)
    async with database.transaction(job.project_id) as tx:
        finished = await _finish(tx, job, snapshot, draft, revocable)
    if finished.serving is None:
        return finished
    # Whatever came of it: the cache may still hold what an earlier worker had no time to replace.
    entry = Entry.of_profile(job.project_id, finished.serving)
    await cache.store(entry, revision=finished.revision, token=token)
    unread = snapshot.serving is None or snapshot.serving.revision < snapshot.revision
    if finished.outcome == "written" and unread:
        # Both times are the database's.
        waited = finished.serving.created_at - job.first_requested_at
        FRESHNESS_LAG.observe(waited.total_seconds())
    return finished


async def _vetted(draft: Draft, redactor: Redactor) -> Draft:
    # Off the loop, for a redactor may be a model; and before any transaction.
    statements = await asyncio.to_thread(harmless, draft.statements, redactor)
    return replace(draft, statements=statements)


async def write_shadow(
    database: Database,
    generator: Generator,
    job: Job,
    snapshot: Snapshot,
    known: Population,
    *,
    redactor: Redactor,
    beside: Profile,
) -> Profile | None:
    """What `generator` would have served in place of `beside`, for nobody to see but the judge.

    None where another generator wrote it in its stead, and where `beside` serves no more.
    """
    draft = await generator.write(snapshot.history, known, None)
    if draft.generator != generator.name:
        return None
    draft = await _vetted(draft, redactor)
    async with database.writing(job.project_id, [job.user_id]) as tx:
        user = await users.lock(tx, job.user_id)
        # The same version of the same life of the user: an erasure must not bring words back.
        if user is None or user.paused or await profiles.serving(tx, job.user_id) != beside:
            return None
        corrections = await profiles.find_corrections(tx, job.user_id)
        allowed = await sensitive_categories.allowed_until_commit(tx)
        statements = apply_corrections(permitted(draft.statements, allowed), corrections)
        return await profiles.add_version(
            tx,
            job.user_id,
            statements=statements,
            revision=snapshot.revision,
            generator=draft.generator,
            tokens=estimate_tokens(render_text(statements)),
            status=ProfileStatus.SHADOW,
            origin=ProfileOrigin.GENERATED,
        )


async def _finish(
    tx: Transaction, job: Job, snapshot: Snapshot, draft: Draft, revocable: str | None
) -> Finished:
    user = await users.lock(tx, job.user_id)
    # After the user's lock, which whoever takes profiles back needs as well: either they see what
    # we write, or we see that it is not wanted any more.
    if revocable and await generators.is_retired(tx, revocable):
        raise GeneratorWithdrawn
    state = await claims.finish(tx, job, snapshot.revision)
    if state == "lost":
        raise LeaseLost
    if user is None or user.paused:
        return Finished("dropped")
    corrections = await profiles.find_corrections(tx, job.user_id)
    serving = await profiles.serving(tx, job.user_id)
    allowed = await sensitive_categories.allowed_until_commit(tx)
    count_forbidden(draft.statements, allowed)
    statements = apply_corrections(permitted(draft.statements, allowed), corrections)
    if serving and not _is_news(serving, statements, snapshot, draft.generator):
        return Finished("dropped", serving, user.revision)
    # What says something that is off now must not go on serving, however odd the new version is.
    settled = serving and permitted(serving.statements, allowed) == serving.statements
    written = await profiles.add_version(
        tx,
        job.user_id,
        statements=statements,
        revision=snapshot.revision,
        generator=draft.generator,
        tokens=estimate_tokens(render_text(statements)),
        status=_status(
            serving if settled else None,
            await profiles.newest(tx, job.user_id),
            statements,
            snapshot,
            draft.generator,
        ),
        origin=ProfileOrigin.GENERATED,
    )
    if written.status is ProfileStatus.SERVING:
        return Finished("written", written, user.revision)
    log.warning("profile_quarantined", version=written.version)
    return Finished("quarantined", serving, user.revision)


def _is_news(
    serving: Profile, statements: tuple[Statement, ...], snapshot: Snapshot, generator: str
) -> bool:
    return (serving.revision, serving.generator, serving.statements) != (
        snapshot.revision,
        generator,
        statements,
    )


def _status(
    serving: Profile | None,
    newest: Profile | None,
    statements: tuple[Statement, ...],
    snapshot: Snapshot,
    generator: str,
) -> ProfileStatus:
    # Another generator may say everything differently; only a sudden turn of the same one is odd.
    if serving is None or newest is None or serving.generator != generator:
        return ProfileStatus.SERVING
    unread = sum(i.revision > serving.revision for i in snapshot.history)
    share = unread / max(1, len(snapshot.history))
    if not implausible_change(serving.statements, statements, share):
        return ProfileStatus.SERVING
    # What was quarantined and is now said again is no accident: as when a project has grown, and
    # what sets a user apart is something else.
    said_before = newest.status is ProfileStatus.QUARANTINED and confirms(
        statements, newest.statements
    )
    return ProfileStatus.SERVING if said_before else ProfileStatus.QUARANTINED


def _uncounted(snapshot: Snapshot) -> list[Interaction]:
    return [i for i in snapshot.history if i.revision > snapshot.counted_revision]
