"""The worker: claim → regenerate → finish, under a lease it keeps alive, until told to drain."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import structlog

from service.cache import ProfileCache
from service.db import claims, regenerations
from service.db.claims import Job
from service.db.session import Database
from service.domain.pii import PatternRedactor, Redactor
from service.errors import BumpError, DatabaseUnavailable, GeneratorUnavailable
from service.flows.keep_profile import Drift
from service.flows.project_generators import Loader, ProjectGenerators, ProjectWriters, Writers
from service.flows.regenerate import Snapshot, count_population, read_snapshot
from service.flows.score_profile import Plan, ProfileScorer, Scoring
from service.flows.watch_deployment import DeploymentWatch
from service.flows.write_profile import ProfileWriting
from service.generators.generator import Generator
from service.generators.population import Population
from service.telemetry import show_backlog

log = structlog.get_logger()

_HEARTBEATS_PER_LEASE = 3
_GAUGE_SECONDS = 5.0
_RELEASE_SECONDS = 2.0

Result = TypeVar("Result")


class AttemptsExhausted(Exception):
    """Earlier attempts ended without a word, as when the job kills its worker."""


@dataclass(frozen=True, slots=True)
class WorkerPolicy:
    """How a worker claims and retries. Times in seconds.

    With `drift`, what still predicts its user is kept; without, every due profile is rewritten.
    """

    batch: int
    concurrency: int
    poll: float
    lease: float
    generation_timeout: float
    debounce: float
    max_delay: float
    max_attempts: int
    backoff: float
    history_limit: int
    drain_timeout: float
    deployment_check: float = 30.0
    drift: Drift | None = None


class Worker:
    """One worker process. Any number of them share a database without doing a job twice.

    `loader` opens the generators that a project has in the registry; without it, and where there
    are none, `generator` writes. `watch` looks after deployments now and then. Without a
    `redactor`, the built-in patterns take personal data out of what is written.
    """

    def __init__(
        self,
        database: Database,
        cache: ProfileCache,
        generator: Generator,
        policy: WorkerPolicy,
        *,
        scoring: Scoring,
        loader: Loader | None = None,
        watch: DeploymentWatch | None = None,
        redactor: Redactor | None = None,
    ) -> None:
        self._database = database
        self._cache = cache
        self._generators = ProjectGenerators(database, generator, loader)
        self._watch = watch
        self._policy = policy
        self._scorer = ProfileScorer(database, scoring)
        self._writing = ProfileWriting(
            database,
            cache,
            self._scorer,
            redactor or PatternRedactor(),
            generation_timeout=policy.generation_timeout,
            drift=policy.drift,
        )
        self._slots = asyncio.Semaphore(policy.concurrency)
        # The last slot is never taken by what runs in the background, so that whatever is urgent
        # starts at once.
        self._background_slots = asyncio.Semaphore(max(1, policy.concurrency - 1))
        self._held: set[Job] = set()
        self._batches: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()
        self._draining = False

    async def run(self, stop: asyncio.Event) -> bool:
        """Work until `stop` is set, then drain: finish what runs, give back what does not.

        False when jobs were still running at the end of the drain and were given back.
        """
        background = [
            asyncio.create_task(self._keep_leases()),
            asyncio.create_task(self._watch_backlog()),
            asyncio.create_task(self._watch_deployments()),
        ]
        try:
            while not stop.is_set():
                if not await self._claim_once():
                    await _wait_for(stop, self._policy.poll)
            return await self._drain()
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)

    async def run_once(self) -> int:
        """Claim what is due now, work it off, and return how many jobs that were."""
        jobs = await self._claim(self._policy.batch)
        await asyncio.gather(*self._start(jobs))
        return len(jobs)

    async def run_users(self, project_id: str, user_ids: Sequence[str]) -> int:
        """Claim what is due of these users, work it off, and return how many jobs that were.

        At most half a batch of users, of whom none may be in other hands: those are left out.
        """
        heartbeat = asyncio.create_task(self._keep_leases())
        try:
            jobs = await self._claim(len(user_ids), of_project=project_id, of_users=user_ids)
            await asyncio.gather(*self._start(jobs))
            return len(jobs)
        finally:
            heartbeat.cancel()
            await asyncio.gather(heartbeat, return_exceptions=True)

    async def _claim_once(self) -> bool:
        """Claim what there is room for and start it; False when it is time to pause."""
        free = self._free()
        urgent = sum(not job.in_background for job in self._held)
        # Half a batch at least: a claim a job would load the statistics once a job too. What runs
        # in the background is no reason to let urgent jobs wait.
        if not free or urgent > self._policy.batch / 2:
            self._room.clear()
            await _wait_for(self._room, self._policy.poll)
            return True
        try:
            jobs = await self._claim(free)
        except DatabaseUnavailable:
            log.warning("database_unavailable")
            return False
        self._start(jobs)
        return len(jobs) == free or any(job.suspect for job in jobs)

    def _free(self) -> int:
        """For how many more jobs there is room: none beside one that may kill this process."""
        if any(job.suspect for job in self._held):
            return 0
        return self._policy.batch - len(self._held)

    def _background_room(self) -> int:
        """For how many more background jobs there is room: half of a batch is for urgent ones."""
        held = sum(job.in_background for job in self._held)
        return max(1, self._policy.batch // 2) - held

    async def _claim(self, limit: int, **of: Any) -> list[Job]:
        return await claims.claim(
            self._database,
            limit=limit,
            lease=self._policy.lease,
            debounce=self._policy.debounce,
            max_delay=self._policy.max_delay,
            backfill=self._background_room(),
            **of,
        )

    def _start(self, jobs: Sequence[Job]) -> list[asyncio.Task[None]]:
        # Apart, so that urgent jobs do not wait until those in the background are read.
        together: dict[tuple[str, bool], list[Job]] = defaultdict(list)
        for job in jobs:
            together[job.project_id, job.in_background].append(job)
        self._held.update(jobs)
        batches = []
        for (project_id, _), project_jobs in together.items():
            batch = asyncio.create_task(self._run_batch(project_id, project_jobs))
            self._batches.add(batch)
            batch.add_done_callback(self._batches.discard)
            batches.append(batch)
        return batches

    async def _run_batch(self, project_id: str, jobs: Sequence[Job]) -> None:
        try:
            # A new project's first users are counted before the first profile is written, so
            # that they are seen against each other.
            snapshots = await self._read_all(jobs)
            known = await self._count(project_id, snapshots)
            plan = await self._scorer.plan(project_id, snapshots)
            writers = await self._find_writers(project_id, snapshots)
            await asyncio.gather(
                *(
                    self._run_job(job, snapshot, known, writers.of(job.user_id), plan)
                    for job, snapshot in snapshots.items()
                    if writers
                )
            )
        except asyncio.CancelledError:
            for job in jobs:
                if job in self._held:
                    await self._release(job)
            raise
        finally:
            for job in jobs:
                self._let_go(job)

    async def _read_all(self, jobs: Sequence[Job]) -> dict[Job, Snapshot]:
        snapshots = {}
        for job in jobs:
            snapshot = await self._attempt(job, self._read(job))
            if snapshot is None:
                self._let_go(job)
            else:
                snapshots[job] = snapshot
        return snapshots

    async def _read(self, job: Job) -> Snapshot | None:
        if job.attempts > self._policy.max_attempts:
            raise AttemptsExhausted
        return await read_snapshot(self._database, job, self._policy.history_limit)

    async def _count(self, project_id: str, snapshots: dict[Job, Snapshot]) -> Population:
        try:
            return await count_population(
                self._database,
                project_id,
                {job.user_id: snapshot for job, snapshot in snapshots.items()},
            )
        except Exception as error:
            # A profile without the comparison is better than none.
            log.warning("population_not_counted", error=type(error).__name__, exc_info=True)
            return Population.empty()

    async def _find_writers(
        self, project_id: str, snapshots: dict[Job, Snapshot]
    ) -> ProjectWriters | None:
        """Who writes in the project; None where that cannot be told now: the jobs are given up."""
        try:
            return await self._generators.of_project(project_id)
        except Exception as error:
            log.warning("generators_unknown", error=type(error).__name__, exc_info=True)
            for job in snapshots:
                await self._give_up(job, error)
            return None

    async def _run_job(
        self, job: Job, snapshot: Snapshot, known: Population, writers: Writers, plan: Plan
    ) -> None:
        turn = self._background_slots if job.in_background else nullcontext()
        async with turn, self._slots:
            if self._draining:
                await self._release(job)
            else:
                finished = await self._attempt(
                    job, self._writing.rewrite(job, snapshot, known, writers, plan)
                )
                if finished and finished.written and writers.shadow:
                    await self._writing.shadow(
                        job, snapshot, known, writers.shadow, finished.written
                    )
        self._let_go(job)

    async def _attempt(self, job: Job, work: Awaitable[Result]) -> Result | None:
        """The result of `work`; on failure the job is retried later or parked, and it is None."""
        try:
            return await work
        except Exception as error:
            log.warning(
                "regeneration_failed",
                error=type(error).__name__,
                attempt=job.attempts,
                exc_info=not isinstance(error, BumpError),
            )
            await self._give_up(job, error)
            return None

    async def _give_up(self, job: Job, error: Exception) -> None:
        # Only messages of our own are known to carry nothing of a history.
        reason = str(error) if isinstance(error, BumpError) else type(error).__name__
        try:
            async with self._database.transaction(job.project_id) as tx:
                if isinstance(error, (DatabaseUnavailable, GeneratorUnavailable)):
                    # Not the job's fault: a long outage must not park everything that was due.
                    delay = max(self._policy.backoff, error.retry_after_seconds or 0)
                    await claims.put_off(tx, job, error=reason, delay=delay)
                elif job.attempts >= self._policy.max_attempts:
                    await claims.park(tx, job, error=reason)
                else:
                    delay = self._policy.backoff * 2 ** (job.attempts - 1)
                    await claims.retry_later(tx, job, error=reason, delay=delay)
        except DatabaseUnavailable:
            log.warning("database_unavailable")  # the lease ends by itself
        except Exception:
            # The others of the batch go on, and keep their leases.
            log.exception("regeneration_not_given_up")

    async def _release(self, job: Job) -> None:
        try:
            async with self._database.transaction(job.project_id) as tx:
                await claims.release(tx, job)
        except DatabaseUnavailable:
            log.warning("database_unavailable")

    def _let_go(self, job: Job) -> None:
        self._held.discard(job)
        self._room.set()

    async def _drain(self) -> bool:
        self._draining = True
        if not self._batches:
            return True
        _, unfinished = await asyncio.wait(self._batches, timeout=self._policy.drain_timeout)
        if not unfinished:
            return True
        for batch in unfinished:
            batch.cancel()
        # Longer than it takes a database that answers; otherwise the leases end by themselves.
        await asyncio.wait(unfinished, timeout=_RELEASE_SECONDS)
        return False

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(self._policy.lease / _HEARTBEATS_PER_LEASE)
            by_project: dict[str, list[Job]] = defaultdict(list)
            for job in self._held:
                by_project[job.project_id].append(job)
            for project_id, jobs in by_project.items():
                await self._extend(project_id, jobs)

    async def _extend(self, project_id: str, jobs: Sequence[Job]) -> None:
        try:
            async with self._database.transaction(project_id) as tx:
                kept = await claims.extend_leases(tx, jobs, self._policy.lease)
        except Exception as error:
            # This loop must outlive whatever goes wrong in one turn; a lease bears two misses.
            log.warning("leases_not_extended", error=type(error).__name__)
            return
        lost = [job for job in jobs if job in self._held and job.lease_token not in kept]
        if lost:
            # Their finish will be refused by the fence; nothing to undo here.
            log.debug("leases_lost", count=len(lost))

    async def _watch_deployments(self) -> None:
        while self._watch:
            await asyncio.sleep(self._policy.deployment_check)
            try:
                await self._watch.look()
            except Exception as error:
                # This loop must outlive whatever goes wrong in one turn.
                log.warning("deployments_not_watched", error=type(error).__name__, exc_info=True)

    async def _watch_backlog(self) -> None:
        while True:
            try:
                show_backlog(**asdict(await regenerations.backlog(self._database)))
            except Exception as error:
                # This loop must outlive whatever goes wrong in one turn; the next one tells.
                log.warning("backlog_unknown", error=type(error).__name__)
            await asyncio.sleep(_GAUGE_SECONDS)


async def _wait_for(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
