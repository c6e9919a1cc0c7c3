"""Reading LaMP's files: the layouts, histories in time order, and what is done about bad input."""

from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from service.evaluation.lamp.reading import (
    Questions,
    Separation,
    Split,
    UnreadableData,
    find_files,
    read_golds,
)
from service.evaluation.lamp.tasks import TASKS, Sample
from tests.unit.evaluation.lamp.files import entry, question, reviews, write, write_golds

REVIEWS = TASKS["LaMP_3"]


def asked(tmp_path: Path, *documents: Any, task: str = "LaMP_3") -> tuple[Questions, list[Sample]]:
    questions = Questions(write(tmp_path / "questions.json", list(documents)), TASKS[task])
    return questions, list(questions)


def reported(questions: Questions) -> list[str]:
    return [str(problem) for problem in questions.problems]


@pytest.mark.parametrize(
    ("name", "separation", "place"),
    [
        ("LaMP_3", Separation.USER, "LaMP_3/dev/dev_questions.json"),
        ("LaMP_3", Separation.TIME, "time/LaMP_3/dev/dev_questions.json"),
        ("LaMP_2", Separation.USER, "LaMP_2/new/dev/dev_questions.json"),
        ("LaMP_2", Separation.TIME, "time/LaMP_2/new/dev/dev_questions.json"),
        ("LaMP_3", Separation.USER, "LaMP_3/dev_questions.json"),
        ("LaMP_3", Separation.USER, "dev_questions.json"),
    ],
)
def test_the_published_layouts_are_found(
    tmp_path: Path, name: str, separation: Separation, place: str
) -> None:
    write(tmp_path / place, [])
    found = find_files(tmp_path, TASKS[name], Split.DEV, separation)
    assert found.questions == tmp_path / place
    assert found.outputs == found.questions.with_name("dev_outputs.json")


def test_files_that_are_not_split_have_plain_names(tmp_path: Path) -> None:
    write(tmp_path / "questions.json", [])
    assert find_files(tmp_path, REVIEWS, None).outputs == tmp_path / "outputs.json"


def test_a_split_is_never_taken_from_files_that_are_not_split(tmp_path: Path) -> None:
    write(tmp_path / "questions.json", [])
    with pytest.raises(UnreadableData, match=r"no train_questions\.json of LaMP_3"):
        find_files(tmp_path, REVIEWS, Split.TRAIN)


def test_the_user_separation_is_never_taken_for_the_other(tmp_path: Path) -> None:
    write(tmp_path / "LaMP_3" / "dev" / "dev_questions.json", [])
    with pytest.raises(UnreadableData, match="name the folder"):
        find_files(tmp_path, REVIEWS, Split.DEV, Separation.TIME)


def test_samples_come_with_their_histories(tmp_path: Path) -> None:
    questions, (sample,) = asked(tmp_path, reviews("7", 5, 3))
    assert sample.sample_id == "7"
    assert [(i.event_id, i.type, i.attributes["rating"]) for i in sample.history] == [
        ("0", "review", 5.0),
        ("1", "review", 3.0),
    ]
    assert questions.problems == []


def test_a_history_is_in_time_order(tmp_path: Path) -> None:
    dates = {"a": "2012-05-03", "b": "2010", "c": "2012-05", "d": "2010-01-01"}
    entries = [entry("LaMP_3", name, date=date) for name, date in dates.items()]
    _, (sample,) = asked(tmp_path, question("LaMP_3", "7", *entries))
    assert [i.event_id for i in sample.history] == ["b", "d", "c", "a"]
    assert sample.history[1].occurred_at == datetime(2010, 1, 1, 0, 0, 1, tzinfo=UTC)


def test_entries_without_dates_keep_their_order(tmp_path: Path) -> None:
    entries = [entry("LaMP_3", str(number)) for number in (3, 10, 2)]
    _, (sample,) = asked(tmp_path, question("LaMP_3", "7", *entries))
    assert [i.event_id for i in sample.history] == ["3", "10", "2"]
    times = [i.occurred_at for i in sample.history]
    assert times == sorted(set(times))


def test_a_large_file_is_read_sample_by_sample(tmp_path: Path) -> None:
    path = write(tmp_path / "questions.json", [reviews(str(n), 5) for n in range(2_000)])
    path.write_bytes(path.read_bytes()[:-1] + b"nonsense")
    first = list(islice(Questions(path, REVIEWS), 3))
    assert [sample.sample_id for sample in first] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"score": None}, "7: profile[1].score must be a number"),
        ({"score": "good"}, "7: profile[1].score must be a number"),
        ({"score": "nan"}, "7: profile[1].score must be a number"),
        ({"text": None}, "7: profile[1].text is missing"),
        ({"text": 4}, "7: profile[1].text must be text"),
        ({"id": None}, "7: profile[1].id is missing"),
        ({"date": "May"}, "7: profile[1].date must be a year, a month or a day"),
    ],
)
def test_a_malformed_entry_is_reported_and_left_out(
    tmp_path: Path, fields: dict[str, Any], problem: str
) -> None:
    bad = entry("LaMP_3", "b", **fields)
    history = (entry("LaMP_3", "a"), bad, entry("LaMP_3", "c"))
    questions, (sample,) = asked(tmp_path, question("LaMP_3", "7", *history))
    assert [i.event_id for i in sample.history] == ["a", "c"]
    (found,) = reported(questions)
    assert found.startswith(problem)
    assert questions.unanswerable == []


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"input": None}, "7: input is missing"),
        ({"input": "Rate this"}, "7: input is not in the words of LaMP_3"),
        ({"profile": None}, "7: profile must be a list"),
    ],
)
def test_a_malformed_sample_is_reported_and_the_others_go_on(
    tmp_path: Path, fields: dict[str, Any], problem: str
) -> None:
    questions, samples = asked(tmp_path, reviews("7", 5) | fields, reviews("8", 4))
    assert [sample.sample_id for sample in samples] == ["8"]
    assert reported(questions) == [problem]
    assert questions.unanswerable == ["7"]


def test_a_sample_without_an_id_is_reported_by_its_place(tmp_path: Path) -> None:
    questions, _ = asked(tmp_path, reviews("7", 5), reviews("", 4), "nothing")
    assert reported(questions) == [
        "sample 1: id must not be empty",
        "sample 2: id is missing, for there is no JSON object",
    ]


def test_reading_again_counts_problems_once(tmp_path: Path) -> None:
    questions, samples = asked(tmp_path, reviews("7", 5) | {"input": None}, reviews("8", 4))
    assert list(questions) == samples
    assert len(questions.problems) == len(questions.unanswerable) == 1


def test_a_sample_that_comes_twice_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnreadableData, match="holds 7 twice"):
        asked(tmp_path, reviews("7", 5), reviews("7", 4))


def test_a_truncated_file_is_an_error_that_says_how_far_it_went(tmp_path: Path) -> None:
    path = write(tmp_path / "questions.json", [reviews("7", 5), reviews("8", 4)])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UnreadableData, match=r"cannot be read after 1 samples .*: fetch it again"):
        list(Questions(path, REVIEWS))


@pytest.mark.parametrize("document", [[], {"task": "LaMP_3", "golds": []}])
def test_a_file_without_samples_is_an_error(tmp_path: Path, document: Any) -> None:
    path = write(tmp_path / "questions.json", document)
    with pytest.raises(UnreadableData, match="is it a file of questions"):
        list(Questions(path, REVIEWS))


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnreadableData, match="cannot be read after 0 samples"):
        list(Questions(tmp_path / "questions.json", REVIEWS))
    with pytest.raises(UnreadableData, match="fetch it again"):
        read_golds(tmp_path / "outputs.json", REVIEWS)


def test_golds_are_by_sample_id(tmp_path: Path) -> None:
    path = write_golds(tmp_path / "outputs.json", "LaMP_3", a="5", b="4")
    assert read_golds(path, REVIEWS) == {"a": "5", "b": "4"}


def test_golds_of_another_task_are_an_error(tmp_path: Path) -> None:
    path = write_golds(tmp_path / "outputs.json", "LaMP_5", a="Bees")
    with pytest.raises(UnreadableData, match="holds golds of LaMP_5, not of LaMP_3"):
        read_golds(path, REVIEWS)


def test_every_gold_that_cannot_be_scored_against_is_named(tmp_path: Path) -> None:
    items = [{"id": "a", "output": "6"}, {"id": "b"}, *[{"id": "c", "output": "5"}] * 2]
    path = write(tmp_path / "outputs.json", {"task": "LaMP_3", "golds": items})
    with pytest.raises(UnreadableData) as caught:
        read_golds(path, REVIEWS)
    assert str(caught.value).endswith(
        "for 3 of its golds: golds[0].output must be one of 1, 2, 3, 4, 5; "
        "golds[1].output is missing; c comes twice."
    )


def test_truncated_golds_are_an_error(tmp_path: Path) -> None:
    path = write_golds(tmp_path / "outputs.json", "LaMP_3", a="5")
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(UnreadableData, match="cannot be read"):
        read_golds(path, REVIEWS)
