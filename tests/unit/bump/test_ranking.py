"""NDCG by hand: the constants of the paper, several positives, ties, chance."""

import random
from math import inf, log2, nan, sqrt
from statistics import fmean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bump.ranking import chance, gain, ndcg, scores_of_order

scores_lists = st.lists(st.integers(-3, 3).map(float), min_size=2, max_size=12)


def test_ranks_1_to_9_earn_what_the_paper_says() -> None:
    gains = [round(gain(rank), 3) for rank in range(1, 10)]
    assert gains == [1, 0.631, 0.5, 0.431, 0.387, 0.356, 0.333, 0.315, 0.301]


@pytest.mark.parametrize("rank", range(1, 10))
def test_one_right_candidate_earns_the_gain_of_its_rank(rank: int) -> None:
    scores = [9.0 - place for place in range(9)]
    assert ndcg(scores, [rank - 1]) == pytest.approx(gain(rank))


def test_two_right_ones_first_and_third() -> None:
    assert ndcg([3, 2, 1], [0, 2]) == pytest.approx((1 + 0.5) / (1 + 1 / log2(3)))


def test_four_right_ones_on_ranks_1_2_4_and_7() -> None:
    earned = 1 + 1 / log2(3) + 1 / log2(5) + 1 / log2(8)
    best = 1 + 1 / log2(3) + 1 / log2(4) + 1 / log2(5)
    scores = [12.0 - place for place in range(12)]
    assert ndcg(scores, [0, 1, 3, 6]) == pytest.approx(earned / best)


def test_all_right_ones_first_earn_1_in_whatever_order() -> None:
    assert ndcg([1, 9, 8, 7], [1, 2, 3]) == pytest.approx(1)
    assert ndcg([1, 7, 9, 8], [1, 2, 3]) == pytest.approx(1)


def test_equal_scores_share_the_mean_gain_of_their_ranks() -> None:
    # Ranks 2 and 3 are tied: whoever of the two is right earns (.631 + .5) / 2.
    expected = (gain(2) + gain(3)) / 2
    assert ndcg([5, 4, 4, 1], [1]) == ndcg([5, 4, 4, 1], [2]) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("candidates", "relevant", "expected"), [(9, 1, 0.4727), (10, 2, 0.557), (12, 4, 0.663)]
)
def test_a_judge_that_says_nothing_earns_chance(
    candidates: int, relevant: int, expected: float
) -> None:
    assert chance(candidates, relevant) == pytest.approx(expected, abs=5e-4)
    assert ndcg([0.0] * candidates, range(relevant)) == pytest.approx(chance(candidates, relevant))


@pytest.mark.parametrize(("candidates", "relevant"), [(9, 1), (10, 2), (12, 4)])
def test_random_orders_earn_chance_on_average(candidates: int, relevant: int) -> None:
    luck = random.Random(5)
    earned = [
        ndcg([luck.random() for _ in range(candidates)], range(relevant)) for _ in range(4_000)
    ]
    error = stdev(earned) / sqrt(len(earned))
    assert abs(fmean(earned) - chance(candidates, relevant)) < 4 * error


@given(scores_lists, st.randoms(use_true_random=False), st.data())
def test_the_order_of_the_candidates_does_not_matter(
    scores: list[float], luck: random.Random, data: st.DataObject
) -> None:
    relevant = data.draw(st.integers(1, len(scores) - 1))
    places = luck.sample(range(len(scores)), len(scores))
    moved = [scores[place] for place in places]
    found = [moved_to for moved_to, place in enumerate(places) if place < relevant]
    assert ndcg(moved, found) == pytest.approx(ndcg(scores, range(relevant)))


@given(scores_lists, st.data())
def test_only_the_order_of_the_scores_matters(scores: list[float], data: st.DataObject) -> None:
    relevant = data.draw(st.integers(1, len(scores) - 1))
    stretched = [3 * score + 1 for score in scores]
    assert ndcg(stretched, range(relevant)) == pytest.approx(ndcg(scores, range(relevant)))


@given(scores_lists, st.data())
def test_it_lies_between_0_and_1(scores: list[float], data: st.DataObject) -> None:
    relevant = data.draw(st.integers(1, len(scores) - 1))
    assert 0 < ndcg(scores, range(relevant)) <= 1 + 1e-12


def test_an_order_becomes_scores_that_rank_the_same() -> None:
    assert ndcg(scores_of_order([2, 0, 1]), [0]) == pytest.approx(gain(2))


@pytest.mark.parametrize("order", [[0, 0, 1], [1, 2], [0, 1, 3], [-1, 0]])
def test_what_is_no_permutation_is_refused(order: list[int]) -> None:
    with pytest.raises(ValueError, match="no order"):
        scores_of_order(order)


@pytest.mark.parametrize(
    ("scores", "relevant"), [([1.0], [0]), ([1.0, 2.0], []), ([1.0, 2.0], [0, 1])]
)
def test_without_a_choice_there_is_no_ndcg(scores: list[float], relevant: list[int]) -> None:
    with pytest.raises(ValueError, match="no choice"):
        ndcg(scores, relevant)


@pytest.mark.parametrize("score", [nan, inf, -inf])
def test_a_score_that_is_no_number_is_refused(score: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        ndcg([1.0, score], [0])
