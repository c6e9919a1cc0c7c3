"""Answers and profiles as rows: LaMP's metrics with intervals, and paired differences."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from statistics import fmean
from typing import Any

import numpy as np

from service.bump.gate import Interval, bootstrap_interval
from service.evaluation.bidirectional import UserResult
from service.evaluation.lamp.answering import Answers
from service.evaluation.lamp.local_methods import FLOORS
from service.evaluation.lamp.tasks import Kind, Task
from service.evaluation.metrics import Pair, absolute_errors, macro_f1, paired, rouge_1, rouge_l

Row = dict[str, Any]

_DIGITS = 6
_RESAMPLES_OF_F1 = 1_000


@dataclass(frozen=True, slots=True)
class Scored:
    """One method's answers with their golds, in the order of the golds."""

    method: str
    source: str | None
    answers: Answers
    pairs: tuple[Pair, ...]
    without_profile: int = 0


def scored(
    method: str,
    source: str | None,
    answers: Answers,
    golds: Mapping[str, str],
    *,
    without_profile: int = 0,
) -> Scored:
    """Raises IdsDiffer unless every gold has an answer, be it an empty one, and no other has."""
    pairs = tuple(paired(answers.texts, golds))
    return Scored(method, source, answers, pairs, without_profile)


def primary(task: Task) -> str:
    """The metric that methods are compared by."""
    return {Kind.CLASSIFICATION: "accuracy", Kind.RATING: "mae", Kind.GENERATION: "rouge-1"}[
        task.kind
    ]


def less_is_better(task: Task) -> bool:
    return task.kind is Kind.RATING


def sample_scores(task: Task, pairs: Sequence[Pair]) -> dict[str, list[float]]:
    """The metrics that are means over samples, sample by sample."""
    match task.kind:
        case Kind.CLASSIFICATION:
            return {"accuracy": [float(answer == gold) for answer, gold in pairs]}
        case Kind.RATING:
            return {"mae": absolute_errors(pairs)}
        case Kind.GENERATION:
            return {"rouge-1": rouge_1(pairs), "rouge-L": rouge_l(pairs)}


def best_floor(task: Task, found: Sequence[Scored]) -> str | None:
    """The floor with the best primary metric; None where there is no floor."""
    sign = -1 if less_is_better(task) else 1
    means = {
        one.method: sign * fmean(sample_scores(task, one.pairs)[primary(task)])
        for one in found
        if one.method in FLOORS
    }
    return max(means, key=means.__getitem__, default=None)


def rows(task: Task, found: Sequence[Scored], references: Sequence[str], *, seed: int) -> list[Row]:
    """A row for each method, in their order; `against` has paired differences to `references`.

    Intervals hold 95 % of 10,000 resamplings of the samples (of F1, 1,000).
    """
    values = {one.method: sample_scores(task, one.pairs) for one in found}
    metric = primary(task)
    return [
        {
            **_row(task, one, seed=seed),
            "against": {
                other: _rounded(
                    bootstrap_interval(
                        [
                            ours - theirs
                            for ours, theirs in zip(
                                values[one.method][metric], values[other][metric], strict=True
                            )
                        ],
                        seed=seed,
                    )
                )
                for other in references
                if other in values and other != one.method
            },
        }
        for one in found
    ]


def profile_row(
    source: str, judge: str, results: Sequence[UserResult], *, without_profile: int, seed: int
) -> Row:
    """What BUMP says of one writer's profiles."""
    rewards = [result.reward for result in results]
    return {
        "source": source,
        "judge": judge,
        "forward": _rounded(bootstrap_interval([r.forward for r in rewards], seed=seed)),
        "backward": _rounded(bootstrap_interval([r.backward for r in rewards], seed=seed)),
        "total": _rounded(bootstrap_interval([r.total for r in rewards], seed=seed)),
        **{
            name: round(fmean(getattr(result, name) for result in results), _DIGITS)
            for name in ("auc", "copy_rate", "tokens")
        },
        "users": len(results),
        "without_profile": without_profile,
    }


def _row(task: Task, one: Scored, *, seed: int) -> Row:
    return {
        "method": one.method,
        "profile": one.source,
        "metrics": {
            name: _rounded(interval) for name, interval in _intervals(task, one, seed=seed).items()
        },
        "samples": len(one.pairs),
        "failed": sum(one.answers.failures.values()),
        "failures": dict(one.answers.failures),
        "without_profile": one.without_profile,
        "cut": one.answers.cut,
        "prompt_tokens": one.answers.prompt_tokens,
        "answer_tokens": one.answers.answer_tokens,
    }


def _intervals(task: Task, one: Scored, *, seed: int) -> dict[str, Interval]:
    found = {
        name: bootstrap_interval(values, seed=seed)
        for name, values in sample_scores(task, one.pairs).items()
    }
    if task.kind is Kind.RATING:
        squares = [error * error for error in absolute_errors(one.pairs)]
        square = bootstrap_interval(squares, seed=seed)
        found["rmse"] = Interval(sqrt(square.mean), sqrt(square.low), sqrt(square.high))
    if task.kind is Kind.CLASSIFICATION:
        found["f1"] = _of_f1(one.pairs, task.labels, seed=seed)
    return found


def _of_f1(pairs: Sequence[Pair], labels: Sequence[str], *, seed: int) -> Interval:
    drawn = np.random.default_rng(seed).integers(0, len(pairs), (_RESAMPLES_OF_F1, len(pairs)))
    resampled = [macro_f1([pairs[place] for place in places], labels) for places in drawn.tolist()]
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Interval(macro_f1(pairs, labels), float(low), float(high))


def _rounded(interval: Interval) -> dict[str, float]:
    return {name: round(value, _DIGITS) for name, value in asdict(interval).items()}
