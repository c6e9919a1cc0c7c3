"""The data that development has: it reads without a problem, and the floors score as known."""

from pathlib import Path

import pytest

from service.evaluation.lamp.floors import floors, past_labels, predict
from service.evaluation.lamp.local_methods import local_methods
from service.evaluation.lamp.reading import Questions, find_files, read_golds
from service.evaluation.lamp.retrieval import bm25_scores, retrieve
from service.evaluation.lamp.tasks import TASKS, Task
from service.evaluation.metrics import accuracy, macro_f1, mae, paired, rmse, rouge_1, rouge_l

FOLDERS = {"LaMP_3_ratings": "LaMP_3", "LaMP_5_acl": "LaMP_5", "LaMP_7": "LaMP_7"}
SIZES = {
    "LaMP_3_ratings": (600, 28_366),
    "LaMP_5_acl": (256, 5_042),
    "LaMP_7": (981, 16_830),
}


def opened(real_data: Path, folder: str) -> tuple[Task, Questions, dict[str, str]]:
    task = TASKS[FOLDERS[folder]]
    files = find_files(real_data / folder, task, None)
    return task, Questions(files.questions, task), read_golds(files.outputs, task)


@pytest.mark.parametrize("folder", list(FOLDERS))
def test_every_sample_and_entry_is_read(real_data: Path, folder: str) -> None:
    _, questions, golds = opened(real_data, folder)
    samples = {sample.sample_id: len(sample.history) for sample in questions}
    assert (len(samples), sum(samples.values())) == SIZES[folder]
    assert samples.keys() == golds.keys()
    assert questions.problems == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [("majority-label", 0.688), ("user-mean", 0.582), ("user-median", 0.521), ("user-mode", 0.58)],
)
def test_rating_floors_err_as_much_as_the_data_says(
    real_data: Path, name: str, expected: float
) -> None:
    task, questions, golds = opened(real_data, "LaMP_3_ratings")
    answers = predict(floors(task, past_labels(task, questions))[name], questions)
    assert task.scores(paired(answers, golds))["mae"] == pytest.approx(expected, abs=0.0005)


@pytest.mark.parametrize("folder", list(FOLDERS))
def test_retrieval_is_that_of_rank_bm25(real_data: Path, folder: str) -> None:
    rank_bm25 = pytest.importorskip("rank_bm25", reason="it is a development dependency")
    task, questions, _ = opened(real_data, folder)
    for sample in questions:
        documents = [task.document_of(interaction).split() for interaction in sample.history]
        query = (task.query(sample.input) or "").split()
        theirs = rank_bm25.BM25Okapi(documents)
        assert bm25_scores(query, documents) == pytest.approx(theirs.get_scores(query))
        assert retrieve(task, sample, 4) == theirs.get_top_n(query, sample.history, n=4)


@pytest.mark.parametrize("folder", ["LaMP_5_acl", "LaMP_7"])
def test_rouge_of_real_answers_is_that_of_rouge_score(real_data: Path, folder: str) -> None:
    scorer = pytest.importorskip("rouge_score.rouge_scorer", reason="a development dependency")
    task, questions, golds = opened(real_data, folder)
    pairs = paired(predict(floors(task)["copy-input"], questions), golds)
    theirs = scorer.RougeScorer(["rouge1", "rougeL"])
    found = [theirs.score(gold, answer) for answer, gold in pairs]
    assert rouge_1(pairs) == pytest.approx([score["rouge1"].fmeasure for score in found])
    assert rouge_l(pairs) == pytest.approx([score["rougeL"].fmeasure for score in found])


@pytest.mark.parametrize("name", ["majority-label", "user-mean", "user-median", "user-mode"])
def test_errors_of_real_answers_are_those_of_scikit_learn(real_data: Path, name: str) -> None:
    sklearn = pytest.importorskip("sklearn.metrics", reason="a development dependency")
    task, questions, golds = opened(real_data, "LaMP_3_ratings")
    answers = predict(floors(task, past_labels(task, questions))[name], questions)
    pairs = paired(answers, golds)
    ours, theirs = zip(*[(float(answer), float(gold)) for answer, gold in pairs], strict=True)
    assert mae(pairs) == pytest.approx(sklearn.mean_absolute_error(theirs, ours))
    assert rmse(pairs) == pytest.approx(sklearn.root_mean_squared_error(theirs, ours))


def test_labels_of_real_answers_score_as_in_scikit_learn(real_data: Path) -> None:
    sklearn = pytest.importorskip("sklearn.metrics", reason="a development dependency")
    task, questions, golds = opened(real_data, "LaMP_3_ratings")
    # A median between two ratings is no label.
    pairs = paired(predict(floors(task)["user-median"], questions), golds)
    places = [[task.labels.index(x) if x in task.labels else -1 for x in pair] for pair in pairs]
    ours, theirs = zip(*places, strict=True)
    assert -1 in ours
    assert accuracy(pairs, task.labels) == pytest.approx(sklearn.accuracy_score(theirs, ours))
    f1 = sklearn.f1_score(theirs, ours, labels=range(5), average="macro", zero_division=0)
    assert macro_f1(pairs, task.labels) == pytest.approx(f1)


@pytest.mark.parametrize(
    ("folder", "name", "expected"),
    [
        ("LaMP_5_acl", "copy-input", 0.116),
        ("LaMP_5_acl", "first-sentence", 0.246),
        ("LaMP_5_acl", "title-span", 0.288),
        ("LaMP_7", "copy-input", 0.460),
        ("LaMP_7", "own-wording", 0.469),
    ],
)
def test_answers_without_a_model_score_as_the_page_says(
    real_data: Path, folder: str, name: str, expected: float
) -> None:
    task, questions, golds = opened(real_data, folder)
    answers = local_methods(task, list(questions), {}, {})[name]()
    assert task.scores(paired(answers, golds))["rouge-1"] == pytest.approx(expected, abs=0.0006)
