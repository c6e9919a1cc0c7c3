"""Drawn profiles and their gradients, against probabilities written out one draw at a time."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from service.domain.profile import render_text
from service.domain.tokens import estimate_tokens
from service.generators.extractive import find_candidates
from service.generators.extractive.policy import SHAPE, Pool, State, choose, features
from service.generators.extractive.weights import UNTRAINED
from service.trainer.plackett_luce import Drawn, draw
from tests.unit.generators.histories import BAKER, CYCLIST, OFFICE, population_of

MAX_TOKENS = 60
TEMPERATURE = 0.5
WEIGHTS = np.random.default_rng(3).normal(scale=0.4, size=SHAPE).astype(np.float32)
Numbers = NDArray[np.float64]


@pytest.fixture(scope="module")
def pool() -> Pool:
    found = find_candidates(CYCLIST, population_of(BAKER, CYCLIST, *OFFICE))
    assert found
    # A context in which every weight counts.
    return replace(found, context=np.array([1.0, 0.4, 0.7, 0.3], np.float32))


def drawn(
    pool: Pool, *, seed: int = 5, profiles: int = 6, temperature: float = TEMPERATURE
) -> Drawn:
    return draw(
        pool,
        WEIGHTS,
        MAX_TOKENS,
        profiles=profiles,
        temperature=temperature,
        rng=np.random.default_rng(seed),
    )


def along(pool: Pool, chosen: tuple[int, ...], weights: Numbers) -> list[tuple[float, float]]:
    """The log probability and the entropy of every draw of a profile, one after the other."""
    state = State.empty(pool, 1, MAX_TOKENS)
    found = []
    for one in chosen:
        allowed = np.flatnonzero(state.allowed(pool)[0])
        scores = [
            sum(
                float(context) * float(weight) * float(value)
                for context, row in zip(pool.context, weights, strict=True)
                for weight, value in zip(row, features(pool, state)[0, place], strict=True)
            )
            for place in allowed
        ]
        odds = np.exp(np.array(scores) / TEMPERATURE)
        odds /= odds.sum()
        own = odds[allowed.tolist().index(one)]
        found.append((float(np.log(own)), float(-(odds * np.log(odds)).sum())))
        state.take(pool, np.array([0]), np.array([one]))
    assert not state.allowed(pool).any()
    return found


def slope(value: Callable[[Numbers], float], towards: Numbers, step: float = 1e-4) -> float:
    at = WEIGHTS.astype(np.float64)
    return (value(at + step * towards) - value(at - step * towards)) / (2 * step)


DIRECTIONS = [np.random.default_rng(seed).normal(size=SHAPE) for seed in range(3)]


def test_the_score_function_is_the_gradient_of_the_log_probability(pool: Pool) -> None:
    found = drawn(pool, profiles=2)
    for chosen, gradient in zip(found.chosen, found.score_function, strict=True):
        for towards in DIRECTIONS:
            measured = slope(lambda w, c=chosen: sum(p for p, _ in along(pool, c, w)), towards)
            assert (gradient * towards).sum() == pytest.approx(measured, rel=1e-3, abs=1e-3)


def test_the_entropy_gradient_is_that_of_the_mean_entropy_of_the_draws(pool: Pool) -> None:
    found = drawn(pool, profiles=2)

    def mean_entropy(weights: Numbers) -> float:
        return float(
            np.mean([e for chosen in found.chosen for _, e in along(pool, chosen, weights)])
        )

    for towards in DIRECTIONS:
        expected = slope(mean_entropy, towards)
        assert (found.entropy_gradient * towards).sum() == pytest.approx(
            expected, rel=1e-3, abs=1e-3
        )


def test_profiles_that_are_drawn_keep_the_budget_and_repeat_nothing(pool: Pool) -> None:
    for chosen in drawn(pool, profiles=50, temperature=5.0).chosen:
        statements = [pool.candidates[one].statement for one in chosen]
        claims = [claim for one in chosen for claim in pool.candidates[one].claims]
        assert estimate_tokens(render_text(statements)) <= MAX_TOKENS
        assert len(claims) == len(set(claims))


def test_a_candidate_is_drawn_as_often_as_its_odds_say(pool: Pool) -> None:
    found = drawn(pool, profiles=4_000)
    firsts = np.bincount([chosen[0] for chosen in found.chosen], minlength=len(pool.candidates))
    state = State.empty(pool, 1, MAX_TOKENS)
    scores = features(pool, state)[0] @ (pool.context @ WEIGHTS) / TEMPERATURE
    odds = np.where(state.allowed(pool)[0], np.exp(scores), 0)
    assert firsts / 4_000 == pytest.approx(odds / odds.sum(), abs=0.03)


def test_without_heat_the_draw_is_the_choice(pool: Pool) -> None:
    best = tuple(choose(pool, WEIGHTS, MAX_TOKENS))
    assert set(drawn(pool, temperature=1e-6).chosen) == {best}


def test_at_great_heat_everything_is_as_likely(pool: Pool) -> None:
    assert drawn(pool, temperature=1e6).entropy == pytest.approx(1, abs=1e-3)


def test_the_same_generator_draws_the_same(pool: Pool) -> None:
    one, other = drawn(pool), drawn(pool)
    assert one.chosen == other.chosen
    assert (one.score_function == other.score_function).all()
    assert drawn(pool, seed=6).chosen != one.chosen


def test_what_has_no_room_is_an_empty_profile_without_a_gradient(pool: Pool) -> None:
    found = draw(pool, UNTRAINED, 0, profiles=2, temperature=1.0, rng=np.random.default_rng(1))
    assert found.chosen == ((), ())
    assert not found.score_function.any()
    assert not found.entropy_gradient.any()
