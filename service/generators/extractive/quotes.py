"""Single interactions in the user's own words, short enough that several fit into a profile."""

from collections.abc import Sequence

from service.domain.interaction import Interaction
from service.generators.extractive.candidate import Candidate, Family, make_candidate
from service.generators.extractive.wording import is_quotable, quote

MAX_QUOTES = 40
_CHARS = 60


def quote_candidates(history: Sequence[Interaction]) -> list[Candidate]:
    """The newest `MAX_QUOTES` interactions that are fit to quote, each once, the newest first."""
    found: dict[str, Candidate] = {}
    for position in range(len(history) - 1, -1, -1):
        words = quote(history[position].text, _CHARS)
        if not words or words in found or not is_quotable(words, history[position].type):
            continue
        found[words] = make_candidate(
            Family.QUOTE,
            f"quote {words}",
            words,
            history,
            [position],
            distinctiveness=0.0,
            rank=len(found),
        )
        if len(found) == MAX_QUOTES:
            break
    return list(found.values())
