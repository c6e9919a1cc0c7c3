"""Who takes part in an evaluation: baselines, generators, and profiles that somebody else wrote."""

import hashlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import orjson

from service.bump.batch import Example
from service.domain.profile import render_text
from service.evaluation.baselines import Write, baselines
from service.evaluation.preparation import Batch
from service.generators.generator import Generator
from service.generators.population import Population


class UnreadableProfiles(ValueError):
    """The file is not JSON lines of {"user_id", "text"}."""


@dataclass(frozen=True, slots=True)
class Entrant:
    """One that writes a profile of every user of one batch.

    `write` gives None where it has no profile of the user. `identity` changes whenever its
    profiles of the same batch may: with its weights, its model, its file.
    """

    name: str
    identity: str
    write: Callable[[Example], Awaitable[str | None]]


def baseline_entrants(names: Iterable[str], batch: Batch, *, seed: int) -> list[Entrant]:
    """Raises ValueError for a batch of one user, KeyError for a name that is no baseline's."""
    known = baselines(batch, seed=seed)
    return [Entrant(name, f"seed {seed}", _at_once(known[name])) for name in names]


def generator_entrant(
    name: str, generator: Generator, population: Population, *, identity: str
) -> Entrant:
    """A profile that another generator wrote in its stead counts as none."""

    async def write(example: Example) -> str | None:
        draft = await generator.write(example.visible, population)
        return render_text(draft.statements) if draft.generator == generator.name else None

    return Entrant(name, identity, write)


def file_entrant(path: Path) -> Entrant:
    """Profiles from JSON lines of {"user_id", "text"}; the last one of a user counts.

    Raises UnreadableProfiles.
    """
    try:
        content = path.read_bytes()
        lines = [orjson.loads(line) for line in content.splitlines() if line.strip()]
        texts = {str(line["user_id"]): str(line["text"]) for line in lines}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UnreadableProfiles(
            f'{path} must hold JSON lines of {{"user_id": …, "text": …}} ({error}).'
        ) from error
    return Entrant(f"file:{path}", hashlib.sha256(content).hexdigest(), _at_once_or_none(texts.get))


def _at_once(write: Write) -> Callable[[Example], Awaitable[str | None]]:
    async def written(example: Example) -> str | None:
        return write(example)

    return written


def _at_once_or_none(
    find: Callable[[str], str | None],
) -> Callable[[Example], Awaitable[str | None]]:
    async def found(example: Example) -> str | None:
        return find(example.user_id)

    return found
