"""LaMP's histories as a file that `bump train`, `bump evaluate` and `bump import` read."""

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from service.commands.lamp_plan import Request
from service.commands.lamp_reading import task_of
from service.domain.interaction import Interaction
from service.errors import ConfigurationError
from service.evaluation.lamp.reading import Questions, UnreadableData, find_files


@dataclass(frozen=True, slots=True)
class Histories:
    """What was written; `problems`: samples and entries that were left out."""

    users: int
    interactions: int
    problems: int


def write_histories(request: Request, path: Path) -> Histories:
    """JSON lines, gzip, sample by sample; a sample's id is its user's. Questions are left out.

    Raises ConfigurationError for files that cannot be read, or a place that cannot be written to.
    """
    users = interactions = 0
    try:
        task = task_of(request.folder, request.task, request.split)
        files = find_files(request.folder, task, request.split, request.separation)
        questions = Questions(files.questions, task)
        with gzip.open(path, "wb") as file:
            for sample in questions:
                users += 1
                interactions += len(sample.history)
                for interaction in sample.history:
                    file.write(orjson.dumps(_line(sample.sample_id, interaction)) + b"\n")
    except (UnreadableData, OSError) as error:
        raise ConfigurationError(str(error)) from error
    return Histories(users, interactions, len(questions.problems))


def _line(user_id: str, interaction: Interaction) -> dict[str, Any]:
    return {
        "user_id": user_id,
        "event_id": interaction.event_id,
        "source": interaction.source,
        "type": interaction.type,
        "occurred_at": interaction.occurred_at.isoformat(),
        "text": interaction.text,
        "attributes": dict(interaction.attributes),
    }
