"""The reward by hand: both directions, the length penalty, group-relative advantages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bump.ranking import chance, gain
from service.bump.reward import (
    Reward,
    advantages,
    backward_reward,
    forward_reward,
    length_penalty,
)

FIRST_OF_9 = [9.0, *range(8)]
THIRD_OF_9 = [5.5, *range(8)]


def test_forward_averages_the_ndcgs_of_the_orders_and_not_the_ranks() -> None:
    # Ranks 1 and 3: (1 + .5) / 2. The mean rank, 2, would earn .631.
    assert forward_reward([FIRST_OF_9, THIRD_OF_9], held_out=1) == pytest.approx(0.75)


def test_forward_with_four_held_out_looks_at_the_first_four() -> None:
    ahead = [4.0] * 4 + [1.0] * 8
    assert forward_reward([ahead], held_out=4) == pytest.approx(1)
    assert forward_reward([[0.0] * 12], held_out=4) == pytest.approx(chance(12, 4))


def test_backward_averages_over_queries_and_orders() -> None:
    queries = [[FIRST_OF_9, FIRST_OF_9], [THIRD_OF_9, FIRST_OF_9]]
    assert backward_reward(queries) == pytest.approx((1 + 1 + gain(3) + 1) / 4)


@pytest.mark.parametrize(
    ("tokens", "penalty"),
    [(0, 0), (160, 0), (200, 0.5 * 0.25**2), (240, 0.125), (320, 0.5), (10_000, 0.5)],
)
def test_length_costs_nothing_up_to_the_target_and_at_most_its_weight(
    tokens: int, penalty: float
) -> None:
    assert length_penalty(tokens) == pytest.approx(penalty)


@given(st.integers(0, 2_000), st.integers(0, 2_000))
def test_a_longer_profile_never_costs_less(tokens: int, more: int) -> None:
    assert length_penalty(tokens + more) >= length_penalty(tokens)


def test_the_total_adds_both_directions_and_takes_the_length_off() -> None:
    assert Reward(forward=0.9, backward=0.6, length=0.125).total == pytest.approx(1.375)


def test_advantages_are_relative_to_the_group() -> None:
    assert advantages([1.0, 2.0, 3.0], epsilon=0) == pytest.approx([-1.2247, 0, 1.2247], abs=1e-4)


def test_a_group_of_equal_rewards_teaches_nothing() -> None:
    assert advantages([1.2, 1.2, 1.2]) is None


@given(st.lists(st.floats(-1, 2), min_size=2, max_size=8), st.floats(-5, 5))
def test_what_all_rollouts_earn_alike_changes_no_advantage(
    rewards: list[float], bonus: float
) -> None:
    before = advantages(rewards)
    after = advantages([reward + bonus for reward in rewards])
    if before is not None and after is not None:
        assert after == pytest.approx(before, abs=1e-2)
