"""BUMP's number for LaMP's profiles, and its correlation with the metric."""

import pytest

from service.bump.batch import BatchTooSmall
from service.evaluation.bidirectional import UserResult
from service.evaluation.lamp import label_free
from service.evaluation.lamp.answering import Answers
from service.evaluation.lamp.methods import parse
from service.evaluation.lamp.profiles import Written
from service.evaluation.lamp.report import scored
from service.evaluation.lamp.tasks import TASKS
from service.judges.lexical import LexicalJudge
from tests.unit.evaluation.fictional import HOBBIES
from tests.unit.evaluation.lamp.histories import tweets

TWEETS = TASKS["LaMP_7"]
SAMPLES = [
    tweets(f"{hobby} at dawn", f"more {hobby}", asked=f"Off to {hobby}", sample_id=hobby)
    for hobby in HOBBIES
]
OWN = {hobby: Written((f"Talks of {hobby}.",)) for hobby in HOBBIES}


async def totals(profiles: dict[str, Written]) -> list[UserResult]:
    asked = label_free.questions(TWEETS, SAMPLES, seed=1)
    return await label_free.score(asked, profiles, LexicalJudge(()), seed=1)


async def test_a_profile_that_picks_out_the_question_earns_all() -> None:
    assert {result.reward.total for result in await totals(OWN)} == {2.0}


async def test_no_profile_earns_chance() -> None:
    assert {round(result.reward.total, 3) for result in await totals({})} == {0.945}


def test_too_few_users_cannot_be_told_apart() -> None:
    with pytest.raises(BatchTooSmall):
        label_free.questions(TWEETS, SAMPLES[:8], seed=1)


def by_user(*values: float) -> dict[str, float]:
    return {f"{place}": value for place, value in enumerate(values)}


def test_methods_that_rank_alike_correlate() -> None:
    rewards = {"a": by_user(1, 1.2, 1.1), "b": by_user(1.3, 1.5, 1.4), "c": by_user(1.6, 1.8, 1.7)}
    scores = {"a": by_user(0.1, 0.3, 0.2), "b": by_user(0.2, 0.4, 0.3), "c": by_user(0.3, 0.5, 0.4)}
    found = label_free.correlate(rewards, scores, seed=1)
    assert found is not None
    assert found.pearson.mean == pytest.approx(1)
    assert found.spearman.mean == pytest.approx(1)
    assert found.within_users == pytest.approx(1)
    assert (found.methods, found.users) == (("a", "b", "c"), 3)


def test_methods_that_rank_the_other_way_correlate_negatively() -> None:
    rewards = {"a": by_user(1, 1), "b": by_user(2, 2), "c": by_user(3, 3)}
    scores = {"a": by_user(9, 9), "b": by_user(5, 5), "c": by_user(1, 1)}
    found = label_free.correlate(rewards, scores, seed=1)
    assert found is not None
    assert found.pearson.mean == pytest.approx(-1)
    assert (found.pearson.low, found.pearson.high) == pytest.approx((-1, -1))


def test_two_methods_or_equal_ones_have_no_correlation() -> None:
    two = {"a": by_user(1, 2), "b": by_user(2, 3)}
    assert label_free.correlate(two, two, seed=1) is None
    same = {name: by_user(1, 2) for name in "abc"}
    assert label_free.correlate(same, same, seed=1) is None


async def test_only_methods_that_show_a_profile_alone_are_correlated() -> None:
    golds = {hobby: f"Off to {hobby}" for hobby in HOBBIES}
    right, wrong = Answers(golds, {}), Answers(dict.fromkeys(golds, "x"), {})
    half = Answers({hobby: "Off" for hobby in golds}, {})
    found = [
        scored("none", None, wrong, golds),
        scored("extractive", "extractive", right, golds),
        scored("pag", "pag", half, golds),
        scored("pag+bm25-1", "pag", right, golds),
        scored("copy-input", None, right, golds),
    ]
    thin = {hobby: Written((hobby if hobby < "m" else "",)) for hobby in HOBBIES}
    results = {
        "none": await totals({}),
        "extractive": await totals(OWN),
        "pag": await totals(thin),
    }
    methods = [parse(name) for name in ("none", "extractive", "pag", "pag+bm25-1")]
    (row,) = label_free.correlations(
        TWEETS, found, {"lexical": results}, list(golds), methods, seed=1
    )
    assert row["methods"] == ("none", "extractive", "pag")
    assert row["pearson"]["mean"] > 0.9
    assert row["metric"] == "rouge-1"
