"""Methods without a model: each by hand, and what they answer where there is nothing to go by."""

from pathlib import Path

import pytest

from service.evaluation.lamp.floors import floors, past_labels, predict
from service.evaluation.lamp.reading import Questions
from service.evaluation.lamp.tasks import TASKS
from service.evaluation.metrics import mae, paired
from tests.unit.evaluation.lamp.files import QUERIES, entry, question, reviews, write

REVIEWS = TASKS["LaMP_3"]


@pytest.fixture
def questions(tmp_path: Path) -> Questions:
    samples = [reviews("a", 5, 4, 4, 1), reviews("b", 2, 2, 5, 5), reviews("c")]
    return Questions(write(tmp_path / "questions.json", samples), REVIEWS)


@pytest.mark.parametrize(
    ("name", "answers"),
    [
        ("majority-label", {"a": "5", "b": "5", "c": "5"}),
        ("user-mean", {"a": "4", "b": "4", "c": ""}),
        ("user-median", {"a": "4", "b": "3.5", "c": ""}),
        ("user-mode", {"a": "4", "b": "5", "c": ""}),
    ],
)
def test_a_rating_floor_answers(questions: Questions, name: str, answers: dict[str, str]) -> None:
    method = floors(REVIEWS, past_labels(REVIEWS, questions))[name]
    assert predict(method, questions) == answers


@pytest.mark.parametrize("name", ["LaMP_4", "LaMP_5", "LaMP_6", "LaMP_7"])
def test_copying_repeats_the_input_without_its_instruction(name: str, tmp_path: Path) -> None:
    questions = Questions(write(tmp_path / "q.json", [question(name, "a")]), TASKS[name])
    assert predict(floors(TASKS[name])["copy-input"], questions) == {"a": QUERIES[name]}


def test_tags_of_the_past_are_labels_where_the_task_knows_them(tmp_path: Path) -> None:
    entries = [entry("LaMP_2", "1"), entry("LaMP_2", "2", tag="western")]
    path = write(tmp_path / "questions.json", [question("LaMP_2", "a", *entries)])
    movies = TASKS["LaMP_2"]
    assert list(past_labels(movies, Questions(path, movies))) == ["comedy"]


def test_without_known_labels_there_is_no_majority() -> None:
    assert floors(TASKS["LaMP_1"]) == {}
    assert set(floors(TASKS["LaMP_1"], ["[1]"])) == {"majority-label"}


def test_a_sample_that_cannot_be_asked_counts_as_no_answer(tmp_path: Path) -> None:
    samples = [reviews("a", 4), reviews("b", 4) | {"input": None}]
    questions = Questions(write(tmp_path / "questions.json", samples), REVIEWS)
    answers = predict(floors(REVIEWS)["user-mean"], questions)
    assert answers == {"a": "4", "b": ""}
    assert mae(paired(answers, {"a": "4", "b": "5"})) == (0 + 4) / 2
