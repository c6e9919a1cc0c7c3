"""Profiles of LaMP's users, written once and then shown to every model."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from service.bump.batch import Example
from service.domain.interaction import Interaction
from service.domain.profile import Draft, Statement
from service.evaluation.baselines import derangement
from service.evaluation.entrants import Entrant
from service.evaluation.lamp.journal import Journal, digest
from service.evaluation.lamp.tasks import Sample
from service.evaluation.scoring import Advance, NoProfiles
from service.generators.generator import Generator
from service.generators.population import Population

# What may be stored of a draft, as a worker decides it.
Vet = Callable[[Draft], Sequence[Statement]]


@dataclass(frozen=True, slots=True)
class Written:
    """A profile: its statements, and for each the ids of the entries that support it."""

    statements: tuple[str, ...] = ()
    evidence: tuple[tuple[str, ...], ...] = ()

    @property
    def text(self) -> str:
        return "\n".join(self.statements)


# By sample id; who has no profile is missing.
Profiles = Mapping[str, Written]


@dataclass(frozen=True, slots=True)
class Source:
    """One that writes profiles. `write` gives None where it has none of a user.

    `identity` changes whenever its profile of the same history may.
    """

    name: str
    identity: str
    write: Callable[[Sample], Awaitable[Written | None]]


def generator_source(
    name: str,
    generator: Generator,
    population: Population,
    vet: Vet,
    *,
    identity: str,
    history_limit: int,
) -> Source:
    """As a worker writes: the newest `history_limit` entries, vetted.

    What another generator wrote in its stead counts as none.
    """

    async def write(sample: Sample) -> Written | None:
        draft = await generator.write(sample.history[-history_limit:], population)
        if draft.generator != generator.name:
            return None
        statements = vet(draft)
        return Written(
            tuple(statement.text for statement in statements),
            tuple(tuple(key.event_id for key in statement.evidence) for statement in statements),
        )

    return Source(name, f"{identity}, newest {history_limit}", write)


def entrant_source(entrant: Entrant) -> Source:
    """A baseline of `bump evaluate`, one statement a line."""

    async def write(sample: Sample) -> Written | None:
        text = await entrant.write(as_example(sample))
        return None if text is None else Written(tuple(text.splitlines()))

    return Source(entrant.name, entrant.identity, write)


async def write_profiles(
    source: Source, samples: Sequence[Sample], journal: Journal, *, at_once: int, advance: Advance
) -> dict[str, Written]:
    """A profile of every sample's user, from the `journal` where it is there.

    What could not be written is not remembered: the next run tries again. Raises NoProfiles where
    there is none of anybody.
    """
    written: dict[str, Written] = {}
    free = asyncio.Semaphore(at_once)

    async def write(sample: Sample) -> None:
        key = digest(source.name, source.identity, _content(sample.history))
        document = journal.get(key)
        if document is None:
            async with free:
                profile = await source.write(sample)
            if profile is not None:
                journal.add(key, {"source": source.name, **asdict(profile)})
        else:
            profile = _profile(document["statements"], document["evidence"])
        if profile is not None:
            written[sample.sample_id] = profile
        advance(1)

    await asyncio.gather(*map(write, samples))
    if not written:
        raise NoProfiles(f"{source.name} wrote no profile of any of {len(samples)} users.")
    return written


def of_strangers(profiles: Profiles, *, seed: int) -> dict[str, Written]:
    """Everybody has somebody else's. Raises ValueError for fewer than two."""
    others = derangement(sorted(profiles), seed=seed)
    return {sample_id: profiles[other] for sample_id, other in others.items()}


def as_example(sample: Sample) -> Example:
    """Of whom everything is visible."""
    return Example(sample.sample_id, sample.history, ())


def _profile(statements: Sequence[str], evidence: Sequence[Sequence[str]]) -> Written:
    return Written(tuple(statements), tuple(tuple(ids) for ids in evidence))


def _content(history: Sequence[Interaction]) -> list[tuple[str, str, str]]:
    return [(i.event_id, i.occurred_at.isoformat(), i.text) for i in history]
