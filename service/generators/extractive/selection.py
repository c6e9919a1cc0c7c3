"""Which candidates make the profile, and in which order they are read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from service.domain.profile import Statement, StatementKind
from service.generators.extractive.candidate import Candidate

_TOKENS_PER_LINE_BREAK = 1


@dataclass(frozen=True, slots=True)
class Weights:
    """A linear score over `Features`, plus what a kind of statement is worth in itself."""

    coverage: float = 1.0
    distinctiveness: float = 1.0
    support: float = 0.5
    freshness: float = 0.2
    rank: float = -1.2
    kind: Mapping[StatementKind, float] = field(
        default_factory=lambda: MappingProxyType(
            {
                StatementKind.INTEREST: 0.9,
                StatementKind.PREFERENCE: 0.8,
                StatementKind.RECENT: 0.6,
                StatementKind.STYLE: 0.1,
                StatementKind.RHYTHM: -0.3,
                StatementKind.EXAMPLE: 0.2,
            }
        )
    )


def score(candidate: Candidate, weights: Weights) -> float:
    features = candidate.features
    return (
        weights.kind.get(candidate.statement.kind, 0.0)
        + weights.coverage * features.coverage
        + weights.distinctiveness * features.distinctiveness
        + weights.support * features.support
        + weights.freshness * features.freshness
        + weights.rank * features.rank
    )


def select(
    candidates: Sequence[Candidate], weights: Weights, max_tokens: int
) -> tuple[Statement, ...]:
    """Take candidates best first while the rendered profile stays within `max_tokens`.

    One that does not fit is passed over for shorter ones, so the order of the answer is the order
    of worth: whoever needs a shorter profile drops statements from its end.
    """
    ranked = sorted(candidates, key=lambda c: (-score(c, weights), c.statement.id))
    chosen: list[Statement] = []
    left = max_tokens
    for candidate in ranked:
        cost = candidate.tokens + (_TOKENS_PER_LINE_BREAK if chosen else 0)
        if cost <= left and all(s.id != candidate.statement.id for s in chosen):
            chosen.append(candidate.statement)
            left -= cost
    return tuple(chosen)
