"""LaMP's files → samples and golds. A large file of questions is never held as a whole."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import isfinite
from operator import itemgetter
from pathlib import Path
from typing import Any

import ijson
import orjson

from service.domain.interaction import Interaction
from service.evaluation.lamp.tasks import Kind, Sample, Task

SOURCE = "lamp"

# Entries without a date are the oldest; a second apart they keep their order.
_UNDATED = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(seconds=1)
_NAMED_AT_ONCE = 5

_Entry = tuple[datetime, str, str, dict[str, Any]]


class Split(StrEnum):
    TRAIN = "train"
    DEV = "dev"
    TEST = "test"


class Separation(StrEnum):
    """What keeps the splits apart: other users, or later questions of the same ones."""

    USER = "user"
    TIME = "time"


class UnreadableData(ValueError):
    """A file is missing, is not whole, or does not hold what LaMP's files hold."""


@dataclass(frozen=True, slots=True)
class Files:
    """`outputs` may not exist: those of LaMP's test split are not published."""

    questions: Path
    outputs: Path


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something was left out: a sample, or the entry of its history that `field` names.

    `sample_id` is the place in the file, such as "sample 17", where the sample has no id.
    """

    sample_id: str
    field: str
    reason: str

    def __str__(self) -> str:
        return f"{self.sample_id}: {self.field} {self.reason}"


class _Malformed(Exception):
    def __init__(self, field: str, reason: str) -> None:
        self.field, self.reason = field, reason


def find_files(
    root: Path, task: Task, split: Split | None, separation: Separation = Separation.USER
) -> Files:
    """The files of a task below `root`, laid out as published or all in one folder.

    Published are `[time/]LaMP_3/dev/dev_questions.json`, of LaMP_2 below `new/`. Without a split
    the names are `questions.json` and `outputs.json`. Raises UnreadableData where there are none.
    """
    base = root / "time" if separation is Separation.TIME else root
    of_task = base / task.name
    prefix = f"{split}_" if split else ""
    published = (of_task / "new" / split, of_task / split) if split else ()
    folders = (*published, of_task, base)
    for folder in folders:
        questions = folder / f"{prefix}questions.json"
        if questions.is_file():
            return Files(questions, folder / f"{prefix}outputs.json")
    raise UnreadableData(
        f"There is no {prefix}questions.json of {task.name} in any of "
        f"{', '.join(map(str, folders))}: name the folder that holds LaMP's files."
    )


class Questions:
    """The samples of one file, read anew and one by one in every iteration.

    After an iteration, `problems` says what was left out of it, and `unanswerable` holds the ids
    of whole samples among that: they still count, with an empty answer.
    """

    def __init__(self, path: Path, task: Task) -> None:
        self.problems: list[Problem] = []
        self.unanswerable: list[str] = []
        self._path = path
        self._task = task

    def __iter__(self) -> Iterator[Sample]:
        """Raises UnreadableData for a file that is missing, breaks off, or holds no sample."""
        self.problems, self.unanswerable = [], []
        seen: set[str] = set()
        for place, document in enumerate(_items(self._path)):
            try:
                sample = self._sample(document, seen)
            except _Malformed as error:
                self._leave_out(document, place, error)
            else:
                yield sample

    def _sample(self, document: Any, seen: set[str]) -> Sample:
        sample_id = _string(document, "id")
        if not sample_id:
            raise _Malformed("id", "must not be empty")
        if sample_id in seen:
            raise UnreadableData(
                f"{self._path} holds {sample_id} twice, so its gold could be of either: "
                "remove one of them."
            )
        seen.add(sample_id)
        question = _string(document, "input")
        if self._task.query(question) is None:
            raise _Malformed("input", f"is not in the words of {self._task.name}")
        entries = document.get("profile")
        if not isinstance(entries, list):
            raise _Malformed("profile", "must be a list")
        return Sample(sample_id, question, self._history(sample_id, entries))

    def _history(self, sample_id: str, documents: list[Any]) -> tuple[Interaction, ...]:
        entries = []
        for place, document in enumerate(documents):
            try:
                entries.append(_entry(document, self._task))
            except _Malformed as error:
                field = f"profile[{place}].{error.field}"
                self.problems.append(Problem(sample_id, field, error.reason))
        return tuple(_in_time_order(entries, self._task))

    def _leave_out(self, document: Any, place: int, error: _Malformed) -> None:
        sample_id = document.get("id") if isinstance(document, dict) else None
        if isinstance(sample_id, str) and sample_id:
            self.unanswerable.append(sample_id)
        else:
            sample_id = f"sample {place}"
        self.problems.append(Problem(sample_id, error.field, error.reason))


def read_golds(path: Path, task: Task) -> dict[str, str]:
    """The right answers by sample id, in the order of the file.

    Raises UnreadableData for a file that is missing or broken, is of another task, or holds an item
    that is malformed or comes twice: nothing can be scored against half of the golds.
    """
    try:
        document = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise UnreadableData(f"{path} cannot be read ({error}): fetch it again.") from error
    items = document.get("golds") if isinstance(document, dict) else None
    if not isinstance(items, list) or not items:
        raise UnreadableData(
            f'{path} must hold {{"task": …, "golds": [{{"id": …, "output": …}}]}}.'
        )
    if document.get("task") != task.name:
        raise UnreadableData(
            f"{path} holds golds of {document.get('task')}, not of {task.name}: name its task."
        )
    golds: dict[str, str] = {}
    problems = []
    for place, item in enumerate(items):
        try:
            sample_id, output = _gold(item, task)
        except _Malformed as error:
            problems.append(f"golds[{place}].{error.field} {error.reason}")
            continue
        if sample_id in golds:
            problems.append(f"{sample_id} comes twice")
        golds[sample_id] = output
    if problems:
        raise UnreadableData(
            f"{path} cannot be scored against, for {len(problems)} of its golds: "
            f"{'; '.join(problems[:_NAMED_AT_ONCE])}{'; …' * (len(problems) > _NAMED_AT_ONCE)}."
        )
    return golds


def _items(path: Path) -> Iterator[Any]:
    found = 0
    try:
        with path.open("rb") as file:
            for item in ijson.items(file, "item", use_float=True):
                found += 1
                yield item
    except (OSError, ijson.JSONError) as error:
        # The lines that follow draw an arrow.
        reason = str(error).splitlines()[0]
        raise UnreadableData(
            f"{path} cannot be read after {found} samples ({reason}): fetch it again."
        ) from error
    if not found:
        raise UnreadableData(f"{path} holds no list of samples: is it a file of questions?")


def _gold(item: Any, task: Task) -> tuple[str, str]:
    sample_id, output = _string(item, "id"), _string(item, "output")
    if task.labels and output.strip() not in task.labels:
        raise _Malformed("output", f"must be one of {', '.join(task.labels)}")
    return sample_id, output


def _entry(document: Any, task: Task) -> _Entry:
    entry_id, body = _string(document, "id"), _string(document, task.body)
    given: str | float | None = None
    if task.given is not None:
        given = _given(document, task, task.given)
    attributes: dict[str, Any] = {task.attribute: given} if task.attribute else {}
    return _date(document), entry_id, task.text(body, given), attributes


def _given(document: dict[str, Any], task: Task, field: str) -> str | float:
    if task.kind is not Kind.RATING:
        return _string(document, field)
    try:
        rating = float(document[field])
    except (KeyError, TypeError, ValueError):
        raise _Malformed(field, "must be a number") from None
    if not isfinite(rating):
        raise _Malformed(field, "must be a number")
    return rating


def _date(document: dict[str, Any]) -> datetime:
    """Of "2019", "2019-03" or "2019-03-25", as LaMP's files have them."""
    if document.get("date") is None:
        return _UNDATED
    try:
        year, month, day = ([int(part) for part in str(document["date"]).split("-")] + [1, 1])[:3]
        return datetime(year, month, day, tzinfo=UTC)
    except ValueError:
        raise _Malformed("date", "must be a year, a month or a day, such as 2019-03-25") from None


def _in_time_order(entries: list[_Entry], task: Task) -> Iterator[Interaction]:
    """One after the other: entries of the same date a second apart, in the order of the file."""
    last = datetime.min.replace(tzinfo=UTC)
    for occurred_at, entry_id, text, attributes in sorted(entries, key=itemgetter(0)):
        last = max(occurred_at, last + _TICK)
        yield Interaction(entry_id, last, text, SOURCE, task.type, attributes)


def _string(document: Any, field: str) -> str:
    if not isinstance(document, dict):
        raise _Malformed(field, "is missing, for there is no JSON object")
    value = document.get(field)
    if not isinstance(value, str):
        raise _Malformed(field, "is missing" if value is None else "must be text")
    return value
