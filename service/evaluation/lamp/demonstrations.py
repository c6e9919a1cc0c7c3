"""What a model may be taught: prompts as `bump lamp` asks them, each with its gold.

A file of JSON lines in gzip. The first says what the others were made of; they have the columns of
TRL's conversational prompt-completion format.
"""

import gzip
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from service.domain.prompts import Message
from service.evaluation.lamp.reading import UnreadableData

_ORIGIN = "origin"


@dataclass(frozen=True, slots=True)
class Demonstration:
    """What a model is asked about a sample, and what it should have answered."""

    sample_id: str
    prompt: tuple[Message, ...]
    answer: str

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.sample_id,
            "prompt": [message.to_json() for message in self.prompt],
            "completion": [Message("assistant", self.answer).to_json()],
        }


@dataclass(frozen=True, slots=True)
class Demonstrations:
    """A file's. `origin`: task, method, model, writers of the profiles, versions."""

    origin: Mapping[str, Any]
    rows: tuple[Demonstration, ...]


def write(path: Path, origin: Mapping[str, Any], rows: Iterable[Demonstration]) -> int:
    """How many were written. Raises OSError."""
    written = 0
    with gzip.open(path, "wb") as file:
        file.write(orjson.dumps({_ORIGIN: origin}) + b"\n")
        for row in rows:
            file.write(orjson.dumps(row.to_json()) + b"\n")
            written += 1
    return written


def read(path: Path) -> Demonstrations:
    """Raises UnreadableData for a file that is missing, cut short, empty, or none of ours."""
    try:
        with gzip.open(path, "rb") as file:
            origin = dict(orjson.loads(file.readline())[_ORIGIN])
            rows = tuple(_demonstration(orjson.loads(line)) for line in file)
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableData(f"{path} cannot be read ({error}): write it again.") from error
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise UnreadableData(
            f"{path} is no file that `bump lamp --write-demonstrations` wrote."
        ) from error
    if not rows:
        raise UnreadableData(f"{path} holds no demonstration.")
    return Demonstrations(origin, rows)


def _demonstration(document: Mapping[str, Any]) -> Demonstration:
    (answer,) = document["completion"]
    prompt = tuple(Message(**message) for message in document["prompt"])
    return Demonstration(str(document["id"]), prompt, str(answer["content"]))
