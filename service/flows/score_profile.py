"""The prequential score: how well a profile predicts what its user did after it was written.

Plan (transaction), ask the judge (none open), record (transaction, fenced). A window of new
interactions is asked about once: of the version that served, and of the shadows beside it. Where
profiles are rewritten faster than a window fills, that is the newest version that lies a gap
behind it. What cannot be scored yet, for want of other users, is planned again.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from service.bump.batch import Example, Negatives, nearest_negatives
from service.bump.judge import Judge, Question, Scores, ask
from service.bump.questions import profile_questions, profile_reward
from service.bump.ranking import chance
from service.bump.setting import Setting
from service.bump.windows import Window, plan_windows, unseen_from
from service.db import claims, prequential, profiles, references, users
from service.db.claims import Job
from service.db.prequential import Position, Score
from service.db.references import Reference
from service.db.session import Database, Transaction
from service.domain.interaction import Interaction
from service.domain.profile import Profile, ProfileStatus
from service.errors import DatabaseUnavailable, LeaseLost
from service.flows.regenerate import Snapshot
from service.generators.population import Population
from service.telemetry import PREQUENTIAL, PREQUENTIAL_WINDOWS

log = structlog.get_logger()

JudgeOf = Callable[[Population], Judge]

# What a window may be asked of lies so many versions back at most: P + G single events, rewritten
# after each, with shadows and corrections in between.
_VERSIONS = 24
# Of a backlog the newest windows count, so that a job stays short.
_MOST_WINDOWS = 8
# What an interaction is about stands early in it.
_MAX_CHARS = 1_000
_SEED = 0


@dataclass(frozen=True, slots=True)
class Scoring:
    """How profiles are scored: by the judge of this name, which knows the project's population.

    `timeout` (seconds) bounds one user's questions.
    """

    judge: str
    judge_of: JudgeOf
    timeout: float
    setting: Setting = field(default_factory=Setting)

    @property
    def chance(self) -> float:
        """What a judge that says nothing makes of both directions together."""
        held_out, others = self.setting.held_out, self.setting.negatives
        return chance(held_out + others, held_out) + chance(1 + others, 1)


@dataclass(frozen=True, slots=True)
class Trial:
    """A window and the versions that are asked about it, the served one first."""

    window: Window
    versions: tuple[Profile, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be asked, by user id, and everybody in the project who can be a negative."""

    trials: Mapping[str, tuple[Trial, ...]]
    others: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class ProfileScorer:
    """Scores on behalf of a worker: whatever goes wrong keeps no profile from anyone."""

    database: Database
    scoring: Scoring

    async def plan(self, project_id: str, snapshots: Mapping[Job, Snapshot]) -> Plan:
        """What these users' histories allow to be asked now; nothing where that cannot be told."""
        by_user = {job.user_id: snapshot for job, snapshot in snapshots.items()}
        try:
            return await plan_trials(self.database, project_id, by_user, self.scoring)
        except Exception as error:
            log.warning("scoring_not_planned", error=type(error).__name__)
            return Plan({}, ())

    async def score(self, job: Job, plan: Plan, known: Population) -> bool:
        """Score what was planned for the job's user; False where any of it could not be.

        Raises LeaseLost and DatabaseUnavailable, with which nothing else would succeed either.
        """
        planned = plan.trials.get(job.user_id, ())
        if not planned:
            return True
        try:
            scores = await score_trials(self.scoring, plan, job.user_id, known)
            await record(self.database, job, scores)
        except (LeaseLost, DatabaseUnavailable):
            raise
        except Exception as error:
            PREQUENTIAL_WINDOWS.labels("judge_failed").inc(len(planned))
            log.warning("windows_not_scored", error=type(error).__name__)
            return False
        return len({score.last for score in scores}) == len(planned)


async def plan_trials(
    database: Database, project_id: str, snapshots: Mapping[str, Snapshot], scoring: Scoring
) -> Plan:
    """What these users' histories allow to be asked now.

    The users who are planned for become references, for one another and for later ones.
    """
    async with database.transaction(project_id) as tx:
        ends = await prequential.scored_up_to(tx, sorted(snapshots), scoring.judge)
        trials, seen = {}, []
        for user_id, snapshot in snapshots.items():
            if snapshot.serving is None:
                continue
            history = [_shortened(i) for i in snapshot.history if i.text.strip()]
            found = await _trials(tx, user_id, history, ends.get(user_id), scoring.setting)
            if found:
                trials[user_id] = found
                newest = tuple(history[-scoring.setting.held_out :])
                seen.append(Reference(user_id, newest, snapshot.serving.text))
        await references.put(tx, seen)
        return Plan(trials, tuple(await references.all_of_project(tx)) if trials else ())


async def score_trials(
    scoring: Scoring, plan: Plan, user_id: str, known: Population
) -> list[Score]:
    """The scores of a user's planned windows; without those that lack other users to tell from.

    Raises what the judge raises, and TimeoutError.
    """
    asked: list[tuple[Trial, Profile, Sequence[Question]]] = []
    for trial in plan.trials.get(user_id, ()):
        example = Example(user_id, trial.window.before, trial.window.held_out)
        negatives = _negatives(example, plan.others, scoring.setting.negatives)
        if negatives is None:
            PREQUENTIAL_WINDOWS.labels("too_few_references").inc()
            log.info("window_not_scored", reason="too few other users in the project")
            continue
        told, strangers = negatives
        asked += [
            (trial, version, profile_questions(example, told, version.text, strangers))
            for version in trial.versions
        ]
    if not asked:
        return []
    questions = [question for *_, ours in asked for question in ours]
    async with asyncio.timeout(scoring.timeout):
        answers = await ask(
            scoring.judge_of(known), questions, orders=scoring.setting.orders, seed=_SEED
        )
    found = iter(answers)
    return [
        _score(scoring, trial.window, version, [next(found) for _ in ours])
        for trial, version, ours in asked
    ]


async def record(database: Database, job: Job, scores: Sequence[Score]) -> None:
    """Write the scores, unless the user is gone or objects. Raises LeaseLost."""
    if not scores:
        return
    async with database.transaction(job.project_id) as tx:
        user = await users.lock(tx, job.user_id)
        if await claims.was_asked_for(tx, job) is None:
            raise LeaseLost
        if user is None or user.paused:
            return
        written = await prequential.add(tx, scores)
    for score in written:
        PREQUENTIAL.labels(score.generator, score.status).observe(score.score)
    PREQUENTIAL_WINDOWS.labels("scored").inc(len({score.last for score in written}))


async def _trials(
    tx: Transaction,
    user_id: str,
    history: Sequence[Interaction],
    scored_up_to: Position | None,
    setting: Setting,
) -> tuple[Trial, ...]:
    if not plan_windows(history, setting.gap, scored_up_to, size=setting.held_out, most=1):
        return ()
    versions = await profiles.versions(tx, user_id, before=None, limit=_VERSIONS)
    starts = [(v, unseen_from(history, v.revision, setting.gap)) for v in versions]
    served = [s for s in starts if s[0].status in (ProfileStatus.SERVING, ProfileStatus.SUPERSEDED)]
    if not served:
        return ()
    windows = plan_windows(
        history,
        min(start for _, start in served),
        scored_up_to,
        size=setting.held_out,
        most=_MOST_WINDOWS,
    )
    shadows = [s for s in starts if s[0].status is ProfileStatus.SHADOW]
    return tuple(Trial(w, _standing(served, shadows, len(w.before))) for w in windows)


def _standing(
    served: Sequence[tuple[Profile, int]], shadows: Sequence[tuple[Profile, int]], place: int
) -> tuple[Profile, ...]:
    """The newest version served, and the newest shadow of each generator, that have not seen it."""
    newest = next(version for version, start in served if start <= place)
    beside: dict[str, Profile] = {}
    for version, start in shadows:
        if start <= place:
            beside.setdefault(version.generator, version)
    return (newest, *beside.values())


def _negatives(
    example: Example, others: Sequence[Reference], count: int
) -> tuple[Negatives, list[str]] | None:
    """The negatives, and the profile texts of their users."""
    strangers = [Example(r.user_id, (), r.held_out) for r in others]
    negatives = nearest_negatives(example, strangers, count=count)
    if negatives is None:
        return None
    texts = {reference.user_id: reference.profile for reference in others}
    return negatives, [texts[user_id] for user_id in negatives.users]


def _score(
    scoring: Scoring, window: Window, version: Profile, answers: Sequence[Sequence[Scores]]
) -> Score:
    reward = profile_reward(answers, len(window.held_out), version.tokens)
    return Score(
        user_id=version.user_id,
        version=version.version,
        generator=version.generator,
        status="shadow" if version.status is ProfileStatus.SHADOW else "serving",
        judge=scoring.judge,
        first=Position.of(window.held_out[0]),
        last=Position.of(window.held_out[-1]),
        forward=reward.forward,
        backward=reward.backward,
        chance=scoring.chance,
        score=reward.total - scoring.chance,
    )


def _shortened(interaction: Interaction) -> Interaction:
    if len(interaction.text) <= _MAX_CHARS:
        return interaction
    return replace(interaction, text=interaction.text[:_MAX_CHARS])
