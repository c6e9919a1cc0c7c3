"""Profiles of LaMP's users: written once, kept, as a worker would write them."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from service.domain.interaction import Interaction
from service.domain.profile import Draft, Profile, Statement, StatementKind
from service.evaluation.lamp.journal import Journal
from service.evaluation.lamp.profiles import (
    Source,
    Written,
    generator_source,
    of_strangers,
    write_profiles,
)
from service.evaluation.lamp.tasks import Sample
from service.evaluation.scoring import NoProfiles
from service.generators.population import Population
from tests.unit.evaluation.lamp.histories import tweets

SAMPLES = [tweets("tea", "rain", sample_id="a"), tweets("snow", sample_id="b")]


class Scribe:
    """Says how many interactions it was shown, and counts how often it was asked."""

    def __init__(self, name: str = "scribe", *, signs_as: str | None = None) -> None:
        self.name = name
        self.asked = 0
        self._signs_as = signs_as or name

    async def write(
        self,
        history: Sequence[Interaction],
        population: Population,
        previous: Profile | None = None,
    ) -> Draft:
        self.asked += 1
        text = f"Wrote {len(history)}."
        evidence = tuple(interaction.key for interaction in history)
        statement = Statement("1", StatementKind.STYLE, text, evidence)
        return Draft((statement,), self._signs_as)


def source(scribe: Scribe, *, identity: str = "one", limit: int = 200) -> Source:
    return generator_source(
        "scribe",
        scribe,
        Population.empty(),
        lambda draft: draft.statements,
        identity=identity,
        history_limit=limit,
    )


async def written(
    scribe: Scribe, journal: Journal, samples: Sequence[Sample] = SAMPLES, identity: str = "one"
) -> dict[str, Written]:
    found = source(scribe, identity=identity)
    return await write_profiles(found, samples, journal, at_once=2, advance=lambda _: None)


async def test_a_profile_has_statements_and_the_entries_they_rest_on() -> None:
    found = await written(Scribe(), Journal(None))
    assert found["a"] == Written(("Wrote 2.",), (("a-0", "a-1"),))
    assert found["b"].text == "Wrote 1."


async def test_a_profile_is_written_once_of_a_history(tmp_path: Path) -> None:
    first, again = Scribe(), Scribe()
    before = await written(first, Journal(tmp_path / "profiles.jsonl"))
    after = await written(again, Journal(tmp_path / "profiles.jsonl"))
    assert before == after
    assert (first.asked, again.asked) == (2, 0)


async def test_another_history_or_another_writer_is_written_anew(tmp_path: Path) -> None:
    scribe, journal = Scribe(), Journal(tmp_path / "profiles.jsonl")
    await written(scribe, journal)
    await written(scribe, journal, [tweets("tea", "rain", "sun", sample_id="a")])
    await written(scribe, journal, identity="two")
    assert scribe.asked == 2 + 1 + 2


async def test_the_newest_of_a_long_history_are_read() -> None:
    found = await write_profiles(
        source(Scribe(), limit=1), SAMPLES, Journal(None), at_once=2, advance=lambda _: None
    )
    assert found["a"] == Written(("Wrote 1.",), (("a-1",),))


async def test_what_another_generator_wrote_counts_as_none_and_is_tried_again() -> None:
    journal = Journal(None)
    stand_in = Scribe(signs_as="extractive")
    with pytest.raises(NoProfiles, match="wrote no profile of any of 2 users"):
        await written(stand_in, journal)
    assert len(await written(Scribe(), journal)) == 2


def test_everybody_gets_the_profile_of_somebody_else() -> None:
    profiles = {name: Written((name,)) for name in "abcde"}
    others = of_strangers(profiles, seed=3)
    assert sorted(one.text for one in others.values()) == list("abcde")
    assert all(others[name].text != name for name in profiles)
