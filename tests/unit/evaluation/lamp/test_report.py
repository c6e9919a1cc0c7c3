"""Rows: LaMP's metrics with intervals, paired differences, what failed."""

import pytest

from service.evaluation.lamp.answering import Answers
from service.evaluation.lamp.report import best_floor, rows, scored
from service.evaluation.lamp.tasks import TASKS, Task
from service.evaluation.metrics import IdsDiffer

GOLDS = {"a": "1", "b": "5", "c": "4", "d": "4"}
REVIEWS = TASKS["LaMP_3"]


def answers(*texts: str, **failures: int) -> Answers:
    return Answers(dict(zip(GOLDS, texts, strict=True)), failures)


def test_a_row_has_the_published_metrics_with_their_intervals() -> None:
    (row,) = rows(REVIEWS, [scored("none", None, answers("1", "5", "4", "2"), GOLDS)], (), seed=1)
    assert row["metrics"]["mae"]["mean"] == 0.5
    assert row["metrics"]["rmse"]["mean"] == 1.0
    assert row["metrics"]["mae"]["low"] <= 0.5 <= row["metrics"]["mae"]["high"]
    assert row["samples"] == 4


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_means_are_those_of_the_task(task: Task) -> None:
    golds = dict.fromkeys("abc", task.labels[0] if task.labels else "rain at noon")
    texts = Answers({"a": golds["a"], "b": "", "c": "rain"}, {})
    one = scored("none", None, texts, golds)
    (row,) = rows(task, [one], (), seed=1)
    found = {name: interval["mean"] for name, interval in row["metrics"].items()}
    assert found == pytest.approx(task.scores(one.pairs), abs=1e-5)


def test_differences_are_of_the_same_samples() -> None:
    found = [
        scored("none", None, answers("2", "4", "3", "3"), GOLDS),
        scored("extractive", "extractive", answers("1", "5", "4", "4"), GOLDS),
    ]
    first, second = rows(REVIEWS, found, ("none", "missing"), seed=1)
    assert first["against"] == {}
    assert second["against"] == {"none": {"mean": -1, "low": -1, "high": -1}}


def test_failures_are_counted_and_cost_the_farther_extreme() -> None:
    one = scored("none", None, answers("", "", "4", "4", timeout=2), GOLDS, without_profile=1)
    (row,) = rows(REVIEWS, [one], (), seed=1)
    assert (row["failed"], row["failures"], row["without_profile"]) == (2, {"timeout": 2}, 1)
    assert row["metrics"]["mae"]["mean"] == (4 + 4) / 4


def test_a_sample_without_an_answer_is_an_error() -> None:
    with pytest.raises(IdsDiffer, match="1 samples have no answer"):
        scored("none", None, Answers({"a": "1", "b": "5", "c": "4"}, {}), GOLDS)


def test_the_best_floor_has_the_smallest_error_or_the_largest_score() -> None:
    found = [
        scored("user-mean", None, answers("2", "4", "4", "4"), GOLDS),
        scored("user-mode", None, answers("4", "4", "4", "4"), GOLDS),
        scored("none", None, answers("1", "5", "4", "4"), GOLDS),
    ]
    assert best_floor(REVIEWS, found) == "user-mean"
    assert best_floor(REVIEWS, found[2:]) is None
