"""BUMP's number for the very profiles that LaMP scores, and whether the one predicts the other.

The question itself is what the user did next: a profile must pick it out among other users'
questions (forward), and it the profile among theirs (backward). No gold takes part.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.bump.batch import Example, Negatives, draw_where_possible
from service.bump.gate import Interval
from service.bump.judge import Judge
from service.domain.interaction import Interaction
from service.evaluation.bidirectional import UserResult, score_profiles
from service.evaluation.lamp.methods import Method
from service.evaluation.lamp.profiles import Profiles, as_example
from service.evaluation.lamp.report import Scored, less_is_better, primary, sample_scores
from service.evaluation.lamp.tasks import Sample, Task

Floats = NDArray[np.float64]

NEGATIVES = 8
_ORDERS = 2
_RESAMPLES = 2_000
_FEWEST_METHODS = 3
# The source of an empty profile.
_NOTHING = "none"


@dataclass(frozen=True, slots=True)
class Questions:
    """Who is asked about, and whom they are told from: K = 8 at random, P = 1, no gap."""

    examples: tuple[Example, ...]
    negatives: Mapping[str, Negatives]


def questions(task: Task, samples: Sequence[Sample], *, seed: int) -> Questions:
    """Of the samples that have a history. Raises BatchTooSmall where too few differ.

    The others are drawn at random: half of LaMP's histories have no dates.
    """
    examples = [_example(task, sample) for sample in samples if sample.history]
    negatives = draw_where_possible(examples, count=NEGATIVES, seed=seed, time_matched=False)
    return Questions(tuple(e for e in examples if e.user_id in negatives), negatives)


async def score(
    asked: Questions, profiles: Profiles, judge: Judge, *, seed: int
) -> list[UserResult]:
    """Of every user of `asked`; who has no profile has an empty one. Raises JudgeFailed."""
    texts = {
        example.user_id: profiles[example.user_id].text if example.user_id in profiles else ""
        for example in asked.examples
    }
    return await score_profiles(
        asked.examples, asked.negatives, texts, judge, orders=_ORDERS, seed=seed
    )


@dataclass(frozen=True, slots=True)
class Correlation:
    """Of BUMP's total with LaMP's metric, which is turned so that more is better.

    `pearson`, `spearman`: of the means of `methods`, with 95 % intervals over users who were drawn
    again. `within_users`: of single users' numbers, each less the user's mean over the methods.
    """

    methods: tuple[str, ...]
    users: int
    pearson: Interval
    spearman: Interval
    within_users: float


def correlate(
    rewards: Mapping[str, Mapping[str, float]],
    scores: Mapping[str, Mapping[str, float]],
    *,
    seed: int,
) -> Correlation | None:
    """Both by method and sample id. None for fewer than three methods, or where nothing differs."""
    methods = tuple(name for name in rewards if name in scores)
    if len(methods) < _FEWEST_METHODS:
        return None
    users = sorted(set.intersection(*(set(rewards[m]) & set(scores[m]) for m in methods)))
    reward = np.array([[rewards[method][user] for user in users] for method in methods])
    score = np.array([[scores[method][user] for user in users] for method in methods])
    drawn = np.random.default_rng(seed).integers(0, len(users), (_RESAMPLES, len(users)))
    means = [(reward[:, ids].mean(axis=1), score[:, ids].mean(axis=1)) for ids in drawn]
    pearson = _pearson(reward.mean(axis=1), score.mean(axis=1))
    if pearson is None:
        return None
    within = _pearson(_centred(reward).ravel(), _centred(score).ravel())
    return Correlation(
        methods,
        len(users),
        _interval(pearson, [_pearson(*pair) for pair in means]),
        _interval(
            _spearman(reward.mean(axis=1), score.mean(axis=1)), [_spearman(*p) for p in means]
        ),
        within or 0.0,
    )


def correlations(
    task: Task,
    found: Sequence[Scored],
    results: Mapping[str, Mapping[str, Sequence[UserResult]]],
    sample_ids: Sequence[str],
    methods: Sequence[Method],
    *,
    seed: int,
) -> list[dict[str, Any]]:
    """A row for each judge of `results` (by judge and source) that has enough to correlate.

    Of `methods`, those that show a profile and nothing else, or nothing at all. `found` holds
    their scores in the order of `sample_ids`.
    """
    sign, metric = -1 if less_is_better(task) else 1, primary(task)
    plain = {m.name: m.source or _NOTHING for m in methods if m.choice is None}
    scores = {
        one.method: dict(
            zip(
                sample_ids,
                map(float(sign).__mul__, sample_scores(task, one.pairs)[metric]),
                strict=True,
            )
        )
        for one in found
        if one.method in plain
    }
    rows = []
    for judge, by_source in results.items():
        rewards = {
            name: {result.user_id: result.reward.total for result in by_source[source]}
            for name, source in plain.items()
            if source in by_source
        }
        correlation = correlate(rewards, scores, seed=seed)
        if correlation is not None:
            rows.append({"judge": judge, "metric": metric, **asdict(correlation)})
    return rows


def _example(task: Task, sample: Sample) -> Example:
    last = sample.history[-1]
    question = Interaction(
        event_id="question",
        occurred_at=last.occurred_at + timedelta(seconds=1),
        text=task.query(sample.input) or "",
        source=last.source,
        type=task.type,
    )
    return replace(as_example(sample), held_out=(question,))


def _centred(values: Floats) -> Floats:
    centred: Floats = values - values.mean(axis=0)
    return centred


def _pearson(one: Floats, other: Floats) -> float | None:
    """None where one of them does not vary."""
    if np.ptp(one) < 1e-12 or np.ptp(other) < 1e-12:
        return None
    return float(np.corrcoef(one, other)[0, 1])


def _spearman(one: Floats, other: Floats) -> float:
    return _pearson(_ranks(one), _ranks(other)) or 0.0


def _ranks(values: Floats) -> Floats:
    """Equal values share the mean of their ranks."""
    return np.array([(values < one).sum() + (values == one).sum() / 2 for one in values])


def _interval(value: float, resampled: Sequence[float | None]) -> Interval:
    low, high = np.quantile([one for one in resampled if one is not None], [0.025, 0.975])
    return Interval(value, float(low), float(high))
