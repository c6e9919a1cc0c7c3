"""What is done about a claimed job: score what serves, keep it or write anew, and the shadow."""

import asyncio
from time import monotonic

import structlog

from service.cache import ProfileCache
from service.db.claims import Job
from service.db.session import Database
from service.domain.pii import Redactor
from service.domain.profile import Profile
from service.errors import LeaseLost
from service.flows.keep_profile import Drift, keep_profile
from service.flows.project_generators import Writers
from service.flows.regenerate import Finished, Snapshot, regenerate, write_shadow
from service.flows.score_profile import Plan, ProfileScorer
from service.generators.generator import Generator
from service.generators.population import Population
from service.telemetry import REGENERATION_SECONDS

log = structlog.get_logger()


class GenerationTimedOut(Exception):
    """The generator did not come back in time."""


class ProfileWriting:
    """Writes as a worker's policy has it. `generation_timeout` in seconds, of one profile.

    With `drift`, what still predicts its user is kept; without, every profile is written anew.
    """

    def __init__(
        self,
        database: Database,
        cache: ProfileCache,
        scorer: ProfileScorer,
        redactor: Redactor,
        *,
        generation_timeout: float,
        drift: Drift | None,
    ) -> None:
        self._database = database
        self._cache = cache
        self._scorer = scorer
        self._redactor = redactor
        self._generation_timeout = generation_timeout
        self._drift = drift

    async def rewrite(
        self, job: Job, snapshot: Snapshot, known: Population, writers: Writers, plan: Plan
    ) -> Finished | None:
        """How it ended; None where the job turned out to be somebody else's.

        Raises GenerationTimedOut, and what the generator and the database raise.
        """
        started = monotonic()
        outcome = "failed"
        try:
            judged = await self._scorer.score(job, plan, known)
            finished = await self._kept(job, snapshot, writers) if judged else None
            if finished is None:
                finished = await self._write(job, snapshot, known, writers)
            outcome = finished.outcome
            return finished
        except LeaseLost:
            outcome = "lost"
            return None
        finally:
            REGENERATION_SECONDS.labels(writers.serving.name, outcome).observe(
                monotonic() - started
            )

    async def _kept(self, job: Job, snapshot: Snapshot, writers: Writers) -> Finished | None:
        """By the policy `drift`, unless a candidate waits to be compared; None: write anew."""
        if self._drift is None or writers.shadow:
            return None
        return await keep_profile(
            self._database,
            self._cache,
            job,
            snapshot,
            self._drift,
            generator=writers.serving.name,
            judge=self._scorer.scoring.judge,
        )

    async def _write(
        self, job: Job, snapshot: Snapshot, known: Population, writers: Writers
    ) -> Finished:
        try:
            async with asyncio.timeout(self._generation_timeout):
                return await regenerate(
                    self._database,
                    self._cache,
                    writers.serving,
                    job,
                    snapshot,
                    known,
                    redactor=self._redactor,
                    revocable=writers.revocable,
                )
        except TimeoutError as error:
            # Without an end of its own a job would keep its lease, and its slot, for ever.
            raise GenerationTimedOut from error

    async def shadow(
        self,
        job: Job,
        snapshot: Snapshot,
        known: Population,
        generator: Generator,
        beside: Profile,
    ) -> None:
        """What `generator` would have written, which nobody is shown, beside what serves now.

        Its failure is nobody's loss: what serves has been written.
        """
        try:
            async with asyncio.timeout(self._generation_timeout):
                await write_shadow(
                    self._database,
                    generator,
                    job,
                    snapshot,
                    known,
                    redactor=self._redactor,
                    beside=beside,
                )
        except Exception as error:
            log.warning("shadow_not_written", generator=generator.name, error=type(error).__name__)
