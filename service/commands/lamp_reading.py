"""What `bump lamp` reads before it asks: the samples in question, golds, population statistics."""

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from service.errors import ConfigurationError
from service.evaluation.lamp.reading import (
    Problem,
    Questions,
    Separation,
    Split,
    UnreadableData,
    find_files,
    read_golds,
)
from service.evaluation.lamp.tasks import TASKS, Sample, Task
from service.generators.population import Population


@dataclass(frozen=True, slots=True)
class Data:
    """The samples that were drawn, and their golds by id.

    `unanswerable`: ids of golds whose sample is malformed; they count with an empty answer.
    `population` is fitted on the histories of the whole file, whose SHA-256 `digest` begins.
    """

    task: Task
    samples: tuple[Sample, ...]
    golds: Mapping[str, str]
    unanswerable: tuple[str, ...]
    problems: tuple[Problem, ...]
    population: Population
    digest: str


def read_data(
    folder: Path,
    task_name: str | None,
    split: Split | None,
    separation: Separation,
    *,
    limit: int | None,
    seed: int,
) -> Data:
    """At most `limit` samples, drawn by `seed`; histories of the others are only counted.

    Without a task's name, that of `outputs.json` in the folder. Raises ConfigurationError.
    """
    try:
        task = task_of(folder, task_name, split)
        files = find_files(folder, task, split, separation)
        golds = read_golds(files.outputs, task)
        if limit is not None and limit < len(golds):
            drawn = set(random.Random(seed).sample(sorted(golds), limit))
            golds = {sample_id: gold for sample_id, gold in golds.items() if sample_id in drawn}
        return _read(task, files.questions, golds)
    except UnreadableData as error:
        raise ConfigurationError(str(error)) from error


def _read(task: Task, path: Path, golds: Mapping[str, str]) -> Data:
    questions, population = Questions(path, task), Population.empty()
    samples = []
    for sample in questions:
        population.observe([], sample.history)
        if sample.sample_id in golds:
            samples.append(sample)
    unanswerable = tuple(one for one in questions.unanswerable if one in golds)
    missing = golds.keys() - {sample.sample_id for sample in samples} - set(unanswerable)
    if missing:
        raise UnreadableData(
            f"{path} lacks {len(missing)} samples that have a gold, such as {min(missing)}: the "
            "questions and outputs must be of the same split."
        )
    if not samples:
        raise UnreadableData(f"None of {len(golds)} samples of {path} can be asked.")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return Data(
        task, tuple(samples), golds, unanswerable, tuple(questions.problems), population, digest
    )


def task_of(folder: Path, name: str | None, split: Split | None) -> Task:
    """By its name, else by what the golds in `folder` say. Raises UnreadableData."""
    if name is None:
        path = folder / f"{f'{split}_' if split else ''}outputs.json"
        try:
            name = str(orjson.loads(path.read_bytes())["task"])
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise UnreadableData(
                f"{path} does not say which task it is of ({type(error).__name__}): name it with "
                "--task, such as LaMP_3."
            ) from error
    try:
        return TASKS[name]
    except KeyError:
        raise UnreadableData(f"There is no task {name}: take one of {', '.join(TASKS)}.") from None
