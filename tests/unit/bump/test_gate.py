"""The gate: who is clearly no worse may serve, and nobody gets through by trying often."""

import random

import pytest

from service.bump.gate import (
    Decision,
    allowed_error,
    bootstrap_interval,
    compare,
    judge_candidate,
)

USERS = 400


def rewards(mean: float, *, seed: int, users: int = USERS) -> list[float]:
    luck = random.Random(seed)
    return [luck.gauss(mean, 0.1) for _ in range(users)]


def decide(
    candidate: list[float], serving: list[float], best: list[float], attempt: int = 1
) -> Decision:
    verdict = judge_candidate(candidate, serving, best, attempt=attempt, tolerance=0.02, seed=7)
    return verdict.decision


def shifted(values: list[float], by: float) -> list[float]:
    return [value + by for value in values]


def test_a_better_candidate_is_promoted() -> None:
    serving = rewards(1.4, seed=1)
    assert decide(rewards(1.45, seed=2), serving, serving) is Decision.PROMOTE


def test_a_worse_one_is_rejected() -> None:
    serving = rewards(1.4, seed=1)
    assert decide(rewards(1.3, seed=2), serving, serving) is Decision.REJECT


def test_one_that_is_as_good_as_the_serving_but_not_as_the_best_ever_is_rejected() -> None:
    serving = rewards(1.4, seed=1)
    candidate = shifted(serving, 0.001)
    assert decide(candidate, serving, serving) is Decision.PROMOTE
    assert decide(candidate, serving, shifted(serving, 0.05)) is Decision.REJECT


def test_small_losses_cannot_add_up_over_promotions() -> None:
    best = serving = rewards(1.4, seed=1)
    promoted = 0
    for _ in range(10):
        candidate = shifted(serving, -0.015)  # within the tolerance, each time
        if decide(candidate, serving, best) is not Decision.PROMOTE:
            break
        serving, promoted = candidate, promoted + 1
    assert promoted == 1


def test_fewer_than_100_users_are_too_few() -> None:
    few = rewards(1.4, seed=1, users=99)
    verdict = judge_candidate(shifted(few, 1), few, few, attempt=1, tolerance=0.02, seed=7)
    assert verdict.decision is Decision.TOO_FEW_USERS
    assert verdict.against_serving is None


def test_rewards_of_different_users_are_refused() -> None:
    with pytest.raises(ValueError, match="same users"):
        decide([1.0] * 200, [1.0] * 200, [1.0] * 199)


def test_the_comparison_is_paired() -> None:
    # Users differ by far more than the two generators do.
    serving = rewards(1.0, seed=1)
    comparison = compare(shifted(serving, 0.01), serving, alpha=0.05, seed=7)
    assert comparison.mean == pytest.approx(0.01)
    assert comparison.lower_bound == pytest.approx(0.01)


def test_attempts_share_one_error() -> None:
    assert [round(1 / (allowed_error(n) / 0.05)) for n in (1, 2, 3)] == [2, 6, 12]
    assert sum(allowed_error(attempt) for attempt in range(1, 10_000)) < 0.05


def test_a_later_attempt_needs_a_clearer_difference() -> None:
    candidate, serving = rewards(1.4, seed=2), rewards(1.4, seed=1)
    first, tenth = (
        compare(candidate, serving, alpha=allowed_error(n), seed=7).lower_bound for n in (1, 10)
    )
    assert tenth < first


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(100):
        interval = bootstrap_interval(rewards(1.4, seed=seed, users=100), seed=seed)
        covered += interval.low <= 1.4 <= interval.high
    assert 88 <= covered <= 100


def test_the_same_seed_gives_the_same_interval() -> None:
    values = rewards(1.4, seed=3)
    assert bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1)


def test_an_interval_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing"):
        bootstrap_interval([], seed=1)
