"""LaMP's seven tasks: what is asked for, and what an entry holds."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.domain.interaction import Interaction
from service.evaluation.lamp.reading import Questions
from service.evaluation.lamp.tasks import TASKS
from tests.unit.evaluation.lamp.files import ENTRIES, QUERIES, QUESTIONS, entry, question, write

NAMES = list(TASKS)


def test_there_are_seven() -> None:
    assert list(TASKS) == [f"LaMP_{number}" for number in range(1, 8)]


@pytest.mark.parametrize("name", NAMES)
def test_the_query_is_what_follows_the_instruction(name: str) -> None:
    assert TASKS[name].query(QUESTIONS[name]) == QUERIES[name]


@pytest.mark.parametrize("name", NAMES)
def test_an_input_in_other_words_has_no_query(name: str) -> None:
    assert TASKS[name].query('What "do" you think?') is None


@pytest.fixture(params=NAMES)
def read(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Interaction]:
    name = request.param
    path = write(tmp_path / "questions.json", [question(name, "1", entry(name, "11"))])
    (sample,) = Questions(path, TASKS[name])
    return name, sample.history[0]


def test_an_interaction_gives_back_what_lamp_wrote(read: tuple[str, Interaction]) -> None:
    name, interaction = read
    task = TASKS[name]
    assert task.body_of(interaction) == ENTRIES[name][task.body]
    assert task.given_of(interaction) == (ENTRIES[name][task.given] if task.given else None)


def test_the_text_of_an_interaction_says_all_that_the_entry_does(
    read: tuple[str, Interaction],
) -> None:
    name, interaction = read
    assert all(value in interaction.text for value in ENTRIES[name].values())


def test_retrieval_reads_titles_but_no_tags_ratings_or_subjects() -> None:
    then = datetime(2026, 1, 1, tzinfo=UTC)
    told = Interaction("1", then, "Bees\nThey fly", attributes={"title": "Bees"})
    assert TASKS["LaMP_5"].document_of(told) == "Bees They fly"
    assert TASKS["LaMP_6"].document_of(told) == "They fly"


def test_the_metrics_have_their_published_names() -> None:
    assert set(TASKS["LaMP_2"].scores([("comedy", "comedy")])) == {"accuracy", "f1"}
    assert set(TASKS["LaMP_3"].scores([("4", "5")])) == {"mae", "rmse"}
    assert set(TASKS["LaMP_7"].scores([("tea", "tea")])) == {"rouge-1", "rouge-L"}
