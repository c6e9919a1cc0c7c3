"""Phrases too faint to make a theme: together they still tell a user from others."""

from collections.abc import Sequence

from service.domain.interaction import Interaction
from service.generators.extractive.candidate import Candidate, Family, make_candidate
from service.generators.extractive.phrases import Phrase
from service.generators.extractive.themes import FULL_LOG_LIFT
from service.generators.extractive.wording import listed

_A_STATEMENT = 4
_MAX_STATEMENTS = 8


def mention_candidates(faint: Sequence[Phrase], history: Sequence[Interaction]) -> list[Candidate]:
    """The phrases a few to a statement, the strongest first."""
    groups = [faint[start : start + _A_STATEMENT] for start in range(0, len(faint), _A_STATEMENT)]
    return [_candidate(group, rank, history) for rank, group in enumerate(groups[:_MAX_STATEMENTS])]


def _candidate(phrases: Sequence[Phrase], rank: int, history: Sequence[Interaction]) -> Candidate:
    texts = sorted({text for phrase in phrases for text in phrase.texts.tolist()})
    return make_candidate(
        Family.MENTION,
        f"mentions {phrases[0].subject}",
        f"Mentions {listed([phrase.surface for phrase in phrases])}.",
        history,
        texts,
        distinctiveness=sum(phrase.log_lift for phrase in phrases) / len(phrases) / FULL_LOG_LIFT,
        rank=rank,
    )
