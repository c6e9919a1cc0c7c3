"""Single interactions in the user's own words, short enough that several fit into a profile."""

from collections.abc import Sequence

from service.domain.interaction import Interaction
from service.generators.extractive.candidate import Candidate, Family, make_candidate
from service.generators.extractive.naming import names_somebody
from service.generators.extractive.wording import excerpt, quote
from service.generators.population import Population

MAX_QUOTED = 24
# The same interaction is offered at several lengths; a profile takes one of them.
_SHORT, _LONGER = 60, (90, 130)


def quote_candidates(history: Sequence[Interaction], population: Population) -> list[Candidate]:
    """The newest `MAX_QUOTED` interactions that are fit to quote, the newest first."""
    found: list[Candidate] = []
    openings: set[str] = set()
    for position in range(len(history) - 1, -1, -1):
        interaction = history[position]
        quotes = _quotes(interaction.text)
        if not quotes or quotes[0] in openings:
            continue
        if names_somebody(quotes[-1], interaction.type, population):
            continue
        openings.add(quotes[0])
        rank = len(openings) - 1
        found += [_candidate(words, history, position, rank) for words in quotes]
        if len(openings) == MAX_QUOTED:
            break
    return found


def _quotes(text: str) -> list[str]:
    """The start of the text at each length that makes a difference; nothing if it is too short."""
    shortest = quote(text, _SHORT)
    return list(dict.fromkeys([shortest, *(excerpt(text, n) for n in _LONGER)])) if shortest else []


def _candidate(words: str, history: Sequence[Interaction], position: int, rank: int) -> Candidate:
    return make_candidate(
        Family.QUOTE,
        f"quote {history[position].key}",
        words,
        history,
        [position],
        distinctiveness=0.0,
        rank=rank,
    )
