"""Trains the extractive policy by the BUMP reward: drawn profiles, judged, group by group (GRPO).

One step draws G profiles for each of some users of all projects, asks the judge about them in one
round a project, and moves the weights towards the profiles that did better than their group. What
stands beside them, the profiles of the others, is what the policy itself writes.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from service.bump.judge import Judge
from service.bump.reward import advantages
from service.domain.profile import render_text
from service.evaluation.bidirectional import score_profiles
from service.evaluation.preparation import Batch
from service.generators.extractive import find_candidates
from service.generators.extractive.policy import SHAPE, Floats, Pool, choose
from service.trainer.plackett_luce import Drawn, draw
from service.trainer.rewarding import Rollout, StepRewards, Terms, reward_rollouts

_DECAY_OF_GRADIENT, _DECAY_OF_SQUARE = 0.9, 0.99
_TINY = 1e-8


@dataclass(frozen=True, slots=True)
class Training:
    """How to train. `learning_rate` is Adam's; `averaging`: how much of the running average of the
    weights, which is what is validated and kept, every step leaves as it is. Below `entropy_floor`
    (a share of the highest) draws are pushed apart, by `entropy_weight`, so that the policy does
    not settle on one kind of statement before it knows. `pull` draws weights that nothing teaches
    back to the start.
    """

    steps: int = 40
    users: int = 128
    rollouts: int = 8
    max_tokens: int = 160
    temperature: float = 0.3
    learning_rate: float = 0.02
    averaging: float = 0.9
    entropy_floor: float = 0.1
    entropy_weight: float = 0.05
    pull: float = 1e-3
    validate_every: int = 10
    patience: int = 4
    orders: int = 2
    terms: Terms = field(default_factory=Terms)


@dataclass(frozen=True, slots=True)
class Project:
    """Users who are ranked together: some are trained on, and those of `validation` are not.

    `pools` holds what could be said of every user of the batch; who has nothing is not in it.
    """

    name: str
    batch: Batch
    validation: frozenset[str]
    judge: Judge
    pools: Mapping[str, Pool]

    @property
    def trained_on(self) -> list[str]:
        users = (example.user_id for example in self.batch.examples)
        return [user for user in users if user not in self.validation and user in self.pools]


@dataclass(slots=True)
class Ascent:
    """Where a run is: all that it needs to go on."""

    begun: NDArray[np.float64]
    weights: NDArray[np.float64]
    average: NDArray[np.float64]
    gradient: NDArray[np.float64]
    square: NDArray[np.float64]
    best: Floats
    step: int = 0
    best_step: int = 0
    best_reward: float = -np.inf
    start_reward: float = 0.0

    @classmethod
    def start(cls, weights: Floats) -> "Ascent":
        begun = weights.astype(np.float64)
        zeros = np.zeros(SHAPE)
        return cls(begun, begun.copy(), begun.copy(), zeros, zeros.copy(), weights)

    @property
    def waited(self) -> int:
        return self.step - self.best_step


def pools_of(batch: Batch) -> dict[str, Pool]:
    """What could be said of every user of `batch`, by user id."""
    found = {
        example.user_id: find_candidates(example.visible, batch.population)
        for example in batch.examples
    }
    return {user_id: pool for user_id, pool in found.items() if pool is not None}


def profiles_of(
    batch: Batch, pools: Mapping[str, Pool], weights: Floats, max_tokens: int
) -> dict[str, str]:
    """The profile that the policy writes for every user of `batch`; "" for who has no pool."""
    return {
        example.user_id: _text(pool, choose(pool, weights, max_tokens))
        if (pool := pools.get(example.user_id))
        else ""
        for example in batch.examples
    }


class ExtractiveTrainer:
    """One run over `projects`. Everything random comes from `seed` and the number of the step."""

    def __init__(self, projects: Sequence[Project], training: Training, *, seed: int) -> None:
        self._projects = projects
        self._training = training
        self._seed = seed
        self._standing: list[dict[str, str]] = []
        self._users = [
            (number, user_id)
            for number, project in enumerate(projects)
            for user_id in project.trained_on
        ]

    async def begin(self, starts: Sequence[Floats]) -> Ascent:
        """A run from the best of `starts` by the reward of validation users.

        The first is the policy that was not trained: what training gains is counted from there.
        """
        rewards = [await self._validate(weights.astype(np.float64)) for weights in starts]
        best = int(np.argmax(rewards))
        progress = Ascent.start(starts[best])
        progress.start_reward, progress.best_reward = rewards[0], rewards[best]
        return progress

    async def run(self, progress: Ascent) -> AsyncIterator[dict[str, float]]:
        """Train on from `progress`, which is kept up to date; yields the curves of every step.

        Ends after the last step, or when validation has not got better for long. Raises
        JudgeUnavailable.
        """
        await asyncio.to_thread(self._stand, progress.average)
        while not self._done(progress):
            curves = await self._step(progress)
            if self._validates(progress.step):
                curves["validation"] = reward = await self._validate(progress.average)
                if reward > progress.best_reward:
                    progress.best = progress.average.astype(np.float32)
                    progress.best_step, progress.best_reward = progress.step, reward
            yield curves

    def _validates(self, step: int) -> bool:
        return step % self._training.validate_every == 0 or step == self._training.steps

    def _done(self, progress: Ascent) -> bool:
        training = self._training
        patience = training.patience * training.validate_every
        return progress.step >= training.steps or progress.waited >= patience

    async def _step(self, progress: Ascent) -> dict[str, float]:
        progress.step += 1
        started = perf_counter()
        rng = np.random.default_rng([self._seed, progress.step])
        users = rng.permutation(len(self._users))[: self._training.users]
        drawn = {
            self._users[user]: await asyncio.to_thread(
                self._draw, self._users[user], progress.weights, rng
            )
            for user in sorted(users.tolist())
        }
        rewarded = await self._rewarded(drawn, progress.step)
        gradient = _gradient(drawn, {key: totals for key, (totals, _) in rewarded.items()})
        entropy = fmean(one.entropy for one in drawn.values())
        if entropy < self._training.entropy_floor:
            pushes = [one.entropy_gradient for one in drawn.values()]
            gradient += self._training.entropy_weight * np.mean(pushes, axis=0)
        gradient -= self._training.pull * (progress.weights - progress.begun)
        _ascend(progress, gradient, self._training)
        steps = list({id(step): step for _, step in rewarded.values()}.values())
        return _means(steps) | {"entropy": entropy, "seconds": perf_counter() - started}

    def _draw(
        self, user: tuple[int, str], weights: NDArray[np.float64], rng: np.random.Generator
    ) -> Drawn:
        number, user_id = user
        return draw(
            self._projects[number].pools[user_id],
            weights.astype(np.float32),
            self._training.max_tokens,
            profiles=self._training.rollouts,
            temperature=self._training.temperature,
            rng=rng,
        )

    async def _rewarded(
        self, drawn: Mapping[tuple[int, str], Drawn], step: int
    ) -> dict[tuple[int, str], tuple[list[float | None], StepRewards]]:
        numbers = sorted({number for number, _ in drawn})
        steps = await asyncio.gather(
            *(
                self._judged(number, {u: d for (n, u), d in drawn.items() if n == number}, step)
                for number in numbers
            )
        )
        return {
            (number, user_id): (totals, rewards)
            for number, (by_user, rewards) in zip(numbers, steps, strict=True)
            for user_id, totals in by_user.items()
        }

    async def _judged(
        self, number: int, drawn: Mapping[str, Drawn], step: int
    ) -> tuple[dict[str, list[float | None]], StepRewards]:
        """The rewards of one project's profiles, among those of all its users."""
        project, standing = self._projects[number], self._standing[number]
        rollouts = [
            Rollout(user_id, _text(project.pools[user_id], chosen))
            for user_id, one in drawn.items()
            for chosen in one.chosen
        ]
        negatives = {user_id: project.batch.negatives[user_id] for user_id in drawn}
        rewards = await reward_rollouts(
            project.batch.examples,
            negatives,
            rollouts,
            project.judge,
            standing=standing,
            orders=self._training.orders,
            seed=self._seed + step,
            terms=self._training.terms,
        )
        by_user: dict[str, list[float | None]] = {user_id: [] for user_id in drawn}
        for rollout, total in zip(rollouts, rewards.totals, strict=True):
            by_user[rollout.user_id].append(total)
        return by_user, rewards

    def _stand(self, weights: NDArray[np.float64]) -> None:
        self._standing = [
            profiles_of(p.batch, p.pools, weights.astype(np.float32), self._training.max_tokens)
            for p in self._projects
        ]

    async def _validate(self, weights: NDArray[np.float64]) -> float:
        """The mean reward of what the policy writes for validation users; it stands from now on."""
        await asyncio.to_thread(self._stand, weights)
        rewards: list[float] = []
        for project, profiles in zip(self._projects, self._standing, strict=True):
            batch = project.batch
            results = await score_profiles(
                [example for example in batch.examples if example.user_id in project.validation],
                batch.negatives,
                profiles,
                project.judge,
                orders=self._training.orders,
                seed=self._seed,
            )
            rewards += [self._training.terms.total(result.reward) for result in results]
        return fmean(rewards)


def _text(pool: Pool, chosen: Sequence[int]) -> str:
    return render_text([pool.candidates[one].statement for one in chosen])


def _gradient(
    drawn: Mapping[tuple[int, str], Drawn], totals: Mapping[tuple[int, str], list[float | None]]
) -> NDArray[np.float64]:
    """The policy gradient (H, F), mean over groups; what was not judged takes no part."""
    found = np.zeros(SHAPE)
    for key, one in drawn.items():
        judged = [place for place, total in enumerate(totals[key]) if total is not None]
        if not judged:
            continue
        worth = advantages([total for total in totals[key] if total is not None])
        if worth is not None:
            found += np.tensordot(np.array(worth), one.score_function[judged], 1) / len(judged)
    return found / max(1, len(drawn))


def _ascend(progress: Ascent, gradient: NDArray[np.float64], training: Training) -> None:
    """Adam (Kingma and Ba, 2015), uphill, and the running average of the weights."""
    g, s = _DECAY_OF_GRADIENT, _DECAY_OF_SQUARE
    progress.gradient = g * progress.gradient + (1 - g) * gradient
    progress.square = s * progress.square + (1 - s) * gradient**2
    mean = progress.gradient / (1 - g**progress.step)
    scale = np.sqrt(progress.square / (1 - s**progress.step)) + _TINY
    progress.weights = progress.weights + training.learning_rate * mean / scale
    kept = min(training.averaging, 1 - 1 / (progress.step + 1))
    progress.average = kept * progress.average + (1 - kept) * progress.weights


def _means(steps: Sequence[StepRewards]) -> dict[str, float]:
    """Over projects, by how many rollouts each has; what was spent is added up."""
    sizes = [len(step.rewards) for step in steps]
    means = [step.means() for step in steps]
    added = ("unjudged", "questions", "judge_seconds")
    return {
        name: sum(mean[name] for mean in means)
        if name in added
        else sum(m[name] * size for m, size in zip(means, sizes, strict=True)) / sum(sizes)
        for name in means[0]
    }
