"""Rows: means with intervals, pooled over sets, and against the best baseline."""

import pytest

from service.bump.reward import Reward
from service.bump.setting import Setting
from service.evaluation.bidirectional import UserResult
from service.evaluation.report import best_baseline, chances, pooled, rows
from service.evaluation.scoring import Outcome


def outcome(generator: str, *totals: float, judge: str = "lexical") -> Outcome:
    results = [
        UserResult(f"u{n}", Reward(total / 2, total / 2, 0.0), auc=0.75, copy_rate=0.5, tokens=10)
        for n, total in enumerate(totals)
    ]
    return Outcome(generator, judge, tuple(results), without_profile=1)


def test_a_row_tells_the_means_over_users() -> None:
    (row,) = rows([outcome("empty", 1.0, 2.0)], seed=1)
    assert row["total"]["mean"] == 1.5
    assert row["forward"]["mean"] == row["backward"]["mean"] == 0.75
    assert (row["auc"], row["copy_rate"], row["tokens"], row["users"]) == (0.75, 0.5, 10, 2)
    assert row["total"]["low"] < 1.5 < row["total"]["high"]


def test_the_same_seed_gives_the_same_intervals() -> None:
    found = [outcome("empty", 1.0, 1.2, 1.9, 0.7)]
    assert rows(found, seed=1) == rows(found, seed=1)


FOUND = [
    outcome("keywords", 1.4, 1.6),
    outcome("last-items", 1.3, 1.5),
    outcome("extractive", 1.5, 1.7),
    outcome("keywords", 1.0, 1.0, judge="embedding"),
    outcome("last-items", 1.3, 1.3, judge="embedding"),
    outcome("extractive", 1.2, 1.2, judge="embedding"),
]


def test_what_is_no_baseline_is_compared_with_all_others_under_the_same_judge() -> None:
    lexical, embedding = (row["against"] for row in rows(FOUND, seed=1) if "against" in row)
    assert {name: one["mean"] for name, one in lexical.items()} == pytest.approx(
        {"keywords": 0.1, "last-items": 0.2}
    )
    assert embedding["last-items"] == pytest.approx({"mean": -0.1, "low": -0.1, "high": -0.1})


@pytest.mark.parametrize(("judge", "best"), [("lexical", "keywords"), ("embedding", "last-items")])
def test_the_best_baseline_is_the_best_under_the_same_judge(judge: str, best: str) -> None:
    assert best_baseline(rows(FOUND, seed=1), judge) == best


def test_without_a_baseline_none_is_the_best() -> None:
    assert best_baseline(rows([outcome("extractive", 1.0)], seed=1), "lexical") is None


def test_sets_are_pooled_user_by_user() -> None:
    (one,) = pooled([outcome("empty", 1.0, 1.0), outcome("empty", 2.0)])
    assert [result.reward.total for result in one.results] == [1.0, 1.0, 2.0]
    assert one.without_profile == 2


def test_chance_is_that_of_the_setting() -> None:
    assert chances(Setting()) == {"forward": 0.662701, "backward": 0.472722, "total": 1.135423}
