"""The extractive trainer on a planted problem: only quotes are worth anything to its judge."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from service.bump.judge import Cost, Direction, Question, Scores
from service.bump.setting import Setting
from service.domain.interaction import Interaction
from service.errors import ConfigurationError
from service.evaluation.preparation import Batch, prepare
from service.generators.extractive.policy import CONTEXTS, FEATURES, Pool
from service.generators.extractive.weights import weights_of
from service.trainer import checkpoint
from service.trainer.extractive import Ascent, ExtractiveTrainer, Project, Training, pools_of
from service.trainer.rewarding import JudgeUnavailable

HOBBIES = ("sourdough", "orchids", "chess", "kayaking", "pottery", "falconry", "sailing", "origami")
VALIDATION = frozenset(HOBBIES[:2])
# The start would rather say anything else, and there is room for little.
START = weights_of({"is quote": -0.3})
TRAINING = Training(
    steps=6, users=8, rollouts=6, max_tokens=18, validate_every=2, learning_rate=0.1, averaging=0.5
)


class JudgeOfQuotes:
    """Knows a user by quotes alone, and has no answer about users of `poison`."""

    name = "quotes"
    sees_order = False

    def __init__(self, *poison: str) -> None:
        self.cost = Cost()
        self.asked: list[str] = []
        self._poison = poison

    async def score(self, questions: Sequence[Question]) -> list[Scores]:
        if any(question.group in self._poison for question in questions):
            raise TimeoutError("no answer")
        self.asked += [question.group for question in questions]
        return [self._scores(question) for question in questions]

    async def close(self) -> None:
        """There is nothing to let go of."""

    def _scores(self, question: Question) -> Scores:
        own = [question.group in text for text in question.candidates]
        if question.direction is Direction.FORWARD:
            return [mine * quotes(question.query) for mine in own]
        return [mine * quotes(text) for mine, text in zip(own, question.candidates, strict=True)]


def quotes(profile: str) -> bool:
    return any(line.startswith('"') for line in profile.splitlines())


def history(hobby: str) -> list[Interaction]:
    start = datetime(2026, 3, 2, 9, tzinfo=UTC)
    texts = [f"Spent morning {n} on {hobby} with the {hobby} club in town" for n in range(14)]
    return [
        Interaction(f"{hobby}-{n}", start + timedelta(days=n), text) for n, text in enumerate(texts)
    ]


@pytest.fixture(scope="module")
def batch() -> Batch:
    setting = Setting(held_out=2, negatives=3, gap=1)
    return prepare({hobby: history(hobby) for hobby in HOBBIES}, setting, seed=7)


@pytest.fixture(scope="module")
def pools(batch: Batch) -> dict[str, Pool]:
    return pools_of(batch)


class Runs:
    """Runs of the trainer over one project."""

    def __init__(self, batch: Batch, pools: dict[str, Pool]) -> None:
        self._batch, self._pools = batch, pools

    async def __call__(
        self,
        progress: Ascent | None = None,
        *,
        seed: int = 7,
        judge: JudgeOfQuotes | None = None,
        until: int = TRAINING.steps,
    ) -> tuple[Ascent, list[dict[str, float]]]:
        project = Project("hobbies", self._batch, VALIDATION, judge or JudgeOfQuotes(), self._pools)
        trainer = ExtractiveTrainer([project], TRAINING, seed=seed)
        progress = progress or await trainer.begin([START])
        curves = []
        async for row in trainer.run(progress):
            curves.append(row)
            if progress.step == until:
                break
        return progress, curves


@pytest.fixture
def run(batch: Batch, pools: dict[str, Pool]) -> Runs:
    return Runs(batch, pools)


def risen(progress: Ascent, feature: str) -> float:
    return float((progress.best - START)[CONTEXTS.index("any"), FEATURES.index(feature)])


async def test_what_the_judge_rewards_weighs_more_and_validation_users_earn_more(
    run: Runs,
) -> None:
    progress, curves = await run()
    assert risen(progress, "is quote") > 0 > risen(progress, "is theme")
    assert progress.best_reward > progress.start_reward
    assert max(row["validation"] for row in curves if "validation" in row) == progress.best_reward


async def test_the_same_seed_gives_the_same_weights(run: Runs) -> None:
    (one, curves), (same, again) = await run(), await run()
    assert (one.weights == same.weights).all()
    assert [row["reward"] for row in curves] == [row["reward"] for row in again]
    other, _ = await run(seed=8)
    assert (one.weights != other.weights).any()


@pytest.mark.parametrize("stopped_after", [2, 4])
async def test_a_run_that_was_stopped_ends_where_it_would_have_ended(
    run: Runs, tmp_path: Path, stopped_after: int
) -> None:
    whole, _ = await run()
    stopped, _ = await run(until=stopped_after)
    checkpoint.save(tmp_path, stopped, "this run")
    loaded = checkpoint.load(tmp_path, "this run")
    assert loaded
    resumed, curves = await run(loaded)
    assert len(curves) == TRAINING.steps - stopped_after
    for name in ("weights", "average", "gradient", "square", "best"):
        assert (getattr(resumed, name) == getattr(whole, name)).all(), name
    assert (resumed.best_step, resumed.best_reward) == (whole.best_step, whole.best_reward)
    assert resumed.start_reward == whole.start_reward


async def test_a_run_that_is_over_does_nothing_more(run: Runs) -> None:
    finished, _ = await run()
    before = finished.weights.copy()
    again, curves = await run(finished)
    assert curves == []
    assert (again.weights == before).all()


async def test_the_last_step_is_validated(run: Runs) -> None:
    _, curves = await run()
    assert ["validation" in row for row in curves] == [False, True] * 3


async def test_a_run_that_gets_no_better_ends_early(batch: Batch, pools: dict[str, Pool]) -> None:
    class Indifferent(JudgeOfQuotes):
        def _scores(self, question: Question) -> Scores:
            return [0.0] * len(question.candidates)

    training = Training(steps=50, users=4, rollouts=2, validate_every=1, patience=3)
    project = Project("hobbies", batch, VALIDATION, Indifferent(), pools)
    trainer = ExtractiveTrainer([project], training, seed=7)
    progress = await trainer.begin([START])
    async for _ in trainer.run(progress):
        pass
    assert progress.step == 3
    assert (progress.best == START).all()


def test_the_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path, "this run") is None
    checkpoint.save(tmp_path, Ascent.start(START), "that run")
    with pytest.raises(ConfigurationError, match="holds another run"):
        checkpoint.load(tmp_path, "this run")


async def test_rollouts_that_were_not_judged_take_no_part(run: Runs, batch: Batch) -> None:
    judge = JudgeOfQuotes("chess")
    progress, curves = await run(judge=judge)
    assert {row["unjudged"] for row in curves} == {TRAINING.rollouts}
    assert "chess" not in judge.asked
    assert progress.best_reward > progress.start_reward
    assert np.isfinite(progress.weights).all()


async def test_validation_users_are_never_trained_on(run: Runs, batch: Batch) -> None:
    judge = JudgeOfQuotes()
    _, curves = await run(judge=judge)
    in_training = len(curves) * TRAINING.rollouts * 3
    in_validation = 4 * 3
    for hobby in HOBBIES:
        expected = in_validation if hobby in VALIDATION else in_training
        assert judge.asked.count(hobby) == expected


async def test_a_judge_that_answers_about_nobody_ends_the_run(run: Runs) -> None:
    with pytest.raises(JudgeUnavailable, match="no answer"):
        await run(judge=JudgeOfQuotes(*set(HOBBIES) - VALIDATION))


async def test_a_run_begins_at_the_start_that_serves_validation_users_best(
    batch: Batch, pools: dict[str, Pool]
) -> None:
    quotes = weights_of({"is quote": 100.0})
    project = Project("hobbies", batch, VALIDATION, JudgeOfQuotes(), pools)
    progress = await ExtractiveTrainer([project], TRAINING, seed=7).begin([START, quotes])
    assert (progress.weights == quotes).all()
    assert progress.best_reward > progress.start_reward
