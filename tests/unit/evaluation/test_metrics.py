"""Answers against golds: each metric by hand, and beside the libraries of LaMP's evaluator."""

import random
from collections.abc import Callable
from math import sqrt

import pytest

from service.evaluation.metrics import (
    IdsDiffer,
    absolute_errors,
    accuracy,
    macro_f1,
    mae,
    paired,
    rmse,
    rouge_1,
    rouge_l,
)

LABELS = ("1", "2", "3")


def test_answers_are_paired_with_their_golds_by_id_and_stripped() -> None:
    assert paired({"b": " 2\n", "a": "1"}, {"a": "1 ", "b": "3"}) == [("1", "1"), ("2", "3")]


def test_ids_that_differ_are_named() -> None:
    with pytest.raises(IdsDiffer) as caught:
        paired({"a": "1", "d": "2"}, {"a": "1", "b": "1", "c": "1"})
    assert caught.value.missing == ("b", "c")
    assert caught.value.surplus == ("d",)
    assert str(caught.value) == (
        "2 samples have no answer (b, c), and 1 answers have no gold (d): answer exactly the "
        "samples of the golds."
    )


def test_of_many_ids_that_differ_the_first_five_are_named() -> None:
    with pytest.raises(IdsDiffer, match=r"10 samples have no answer \(0, 1, 2, 3, 4, …\)"):
        paired({}, {str(n): "1" for n in range(10)})


def test_accuracy_is_the_share_of_exact_matches() -> None:
    pairs = [("1", "1"), ("2", "1"), ("3.", "3"), ("", "2")]
    assert accuracy(pairs, LABELS) == 0.25


def test_f1_is_the_mean_over_all_labels_also_those_that_never_occur() -> None:
    pairs = [("1", "1"), ("1", "2"), ("2", "2")]
    assert macro_f1(pairs, LABELS) == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)


def test_an_answer_that_is_no_label_is_wrong_and_of_no_label() -> None:
    pairs = [("one", "1"), ("1", "1")]
    assert accuracy(pairs, LABELS) == 0.5
    assert macro_f1(pairs, ("1",)) == pytest.approx(2 / 3)


@pytest.mark.parametrize("metric", [accuracy, macro_f1])
def test_a_gold_that_is_no_label_is_an_error(metric: Callable[..., float]) -> None:
    with pytest.raises(ValueError, match=r"none of the task's labels \(4\)"):
        metric([("4", "4")], LABELS)


def test_errors_are_of_numbers_however_they_are_written() -> None:
    assert absolute_errors([("4.0", "5"), ("3.5", "4"), ("1e0", "1")]) == [1, 0.5, 0]


@pytest.mark.parametrize(("gold", "error"), [("1", 4), ("2", 3), ("3", 2), ("4", 3), ("5", 4)])
@pytest.mark.parametrize("answer", ["", "four", "nan", "inf", "4 stars"])
def test_what_is_no_number_counts_as_the_farther_extreme(
    answer: str, gold: str, error: int
) -> None:
    assert absolute_errors([(answer, gold)]) == [error]


def test_mae_and_rmse_are_means_over_samples() -> None:
    pairs = [("5", "3"), ("4", "4")]
    assert mae(pairs) == 1
    assert rmse(pairs) == sqrt(2)


def test_rouge_1_counts_words_in_common_in_any_order() -> None:
    assert rouge_1([("the cat the cat", "cat the dog")]) == [pytest.approx(2 * 2 / 7)]


def test_rouge_l_counts_them_in_order() -> None:
    assert rouge_l([("a b c d", "b a c e d")]) == [pytest.approx(2 * 3 / 9)]


def test_rouge_reads_ascii_letters_and_digits_without_case_or_stems() -> None:
    (score,) = rouge_1([("Café: running, 2x!", "caf run 2X")])
    assert score == pytest.approx(2 * 2 / 6)


def test_nothing_in_common_is_no_rouge() -> None:
    assert rouge_1([("", "tea"), ("tea", ""), ("", "")]) == [0, 0, 0]
    assert rouge_l([("", "tea"), ("tea", ""), ("", "")]) == [0, 0, 0]


def drawn(count: int = 800) -> list[tuple[str, str]]:
    chance = random.Random(3)
    words = ["tea", "Tea", "pot's", "at", "5", "naïve", "—", "the", "a-b"]

    def text(longest: int) -> str:
        return " ".join(chance.choices(words, k=chance.randint(0, longest)))

    return [(text(40), text(10)) for _ in range(count)]


def test_rouge_is_that_of_rouge_score() -> None:
    scorer = pytest.importorskip("rouge_score.rouge_scorer", reason="a development dependency")
    theirs = scorer.RougeScorer(["rouge1", "rougeL"])
    pairs = drawn()
    found = [theirs.score(gold, answer) for answer, gold in pairs]
    assert rouge_1(pairs) == pytest.approx([score["rouge1"].fmeasure for score in found])
    assert rouge_l(pairs) == pytest.approx([score["rougeL"].fmeasure for score in found])


def test_labels_and_ratings_score_as_in_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.metrics", reason="a development dependency")
    chance = random.Random(4)
    pairs = [(chance.choice("12345x"), chance.choice("1234")) for _ in range(800)]
    labels = list("12345")
    golds = [labels.index(gold) for _, gold in pairs]
    answers = [labels.index(a) if a in labels else -1 for a, _ in pairs]
    assert accuracy(pairs, labels) == pytest.approx(sklearn.accuracy_score(golds, answers))
    f1 = sklearn.f1_score(golds, answers, labels=range(5), average="macro", zero_division=0)
    assert macro_f1(pairs, labels) == pytest.approx(f1)
    numbers = [(answer, gold) for answer, gold in pairs if answer != "x"]
    ratings = [(float(gold), float(answer)) for answer, gold in numbers]
    assert mae(numbers) == pytest.approx(sklearn.mean_absolute_error(*zip(*ratings, strict=True)))
    assert rmse(numbers) == pytest.approx(
        sklearn.root_mean_squared_error(*zip(*ratings, strict=True))
    )
