"""Whether a candidate generator may serve: paired differences, bounded from below."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

MIN_USERS = 100
_RESAMPLES = 10_000


class Decision(StrEnum):
    PROMOTE = "promote"
    REJECT = "reject"
    TOO_FEW_USERS = "too_few_users"


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over users with the bounds of its bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Candidate - other, over the same users: the mean and the bound that the gate asks for."""

    mean: float
    lower_bound: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """`alpha` is the error that this attempt was allowed; comparisons are None where refused."""

    decision: Decision
    users: int
    alpha: float
    against_serving: Comparison | None
    against_best: Comparison | None


def bootstrap_interval(values: Sequence[float], *, seed: int, confidence: float = 0.95) -> Interval:
    """The mean of `values`, one a user, and its percentile bootstrap interval.

    Raises ValueError without values.
    """
    if not values:
        raise ValueError("There is nothing to take the mean of.")
    means = _resampled_means(values, seed)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(np.mean(values)), float(low), float(high))


def allowed_error(attempt: int, *, alpha: float = 0.05) -> float:
    """The share of `alpha` for the `attempt`-th candidate, from 1: 1/2, 1/6, 1/12, …

    They add up to `alpha`, however many candidates there will be: trying again and again does not
    raise the chance that a worse generator gets through.
    """
    if attempt < 1:
        raise ValueError("Attempts are counted from 1.")
    return alpha / (attempt * (attempt + 1))


def judge_candidate(
    candidate: Sequence[float],
    serving: Sequence[float],
    best: Sequence[float],
    *,
    attempt: int,
    tolerance: float,
    seed: int,
) -> Verdict:
    """Whether the candidate is no worse than the serving generator and than the best ever.

    All three hold a reward for each of the same users, none of whom the candidate or its training
    saw. Against the best as well, so that small losses cannot add up over promotions. With fewer
    than 100 users the answer is no. Raises ValueError when the users are not the same.
    """
    users, alpha = len(candidate), allowed_error(attempt)
    if not users == len(serving) == len(best):
        raise ValueError("The rewards must be of the same users.")
    if users < MIN_USERS:
        return Verdict(Decision.TOO_FEW_USERS, users, alpha, None, None)
    against_serving = compare(candidate, serving, alpha=alpha, seed=seed)
    against_best = compare(candidate, best, alpha=alpha, seed=seed)
    worst = min(against_serving.lower_bound, against_best.lower_bound)
    decision = Decision.PROMOTE if worst > -tolerance else Decision.REJECT
    return Verdict(decision, users, alpha, against_serving, against_best)


def compare(
    candidate: Sequence[float], other: Sequence[float], *, alpha: float, seed: int
) -> Comparison:
    """The mean paired difference and its one-sided lower bound at level `alpha`."""
    differences = [ours - theirs for ours, theirs in zip(candidate, other, strict=True)]
    bound = np.quantile(_resampled_means(differences, seed), alpha)
    return Comparison(float(np.mean(differences)), float(bound))


def _resampled_means(values: Sequence[float], seed: int) -> NDArray[np.float64]:
    """Means of samples with replacement, each as large as `values`; shape (10,000,)."""
    numbers = np.asarray(values, dtype=np.float64)
    chosen = np.random.default_rng(seed).integers(0, len(numbers), (_RESAMPLES, len(numbers)))
    means: NDArray[np.float64] = numbers[chosen].mean(axis=1)
    return means
