"""A statement that could stand in a profile, with the numbers by which it is chosen."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from service.domain.interaction import Interaction
from service.domain.profile import Statement, StatementKind, statement_id
from service.domain.tokens import estimate_tokens

MAX_EVIDENCE = 8


class Family(StrEnum):
    """What made a candidate; finer than the kind of its statement."""

    THEME = "theme"
    MENTION = "mention"
    LATELY = "lately"
    PREFERENCE = "preference"
    TASTE = "taste"
    AVERSION = "aversion"
    SHIFT = "shift"
    STYLE = "style"
    RHYTHM = "rhythm"
    EXAMPLE = "example"
    QUOTE = "quote"


_KINDS = {
    Family.THEME: StatementKind.INTEREST,
    Family.MENTION: StatementKind.INTEREST,
    Family.LATELY: StatementKind.RECENT,
    Family.PREFERENCE: StatementKind.PREFERENCE,
    Family.TASTE: StatementKind.PREFERENCE,
    Family.AVERSION: StatementKind.PREFERENCE,
    Family.SHIFT: StatementKind.RECENT,
    Family.STYLE: StatementKind.STYLE,
    Family.RHYTHM: StatementKind.RHYTHM,
    Family.EXAMPLE: StatementKind.EXAMPLE,
    Family.QUOTE: StatementKind.EXAMPLE,
}


@dataclass(frozen=True, slots=True)
class Features:
    """What the selection sees of a candidate; every number lies in 0..1.

    `coverage`: share of the history's interactions it speaks of. `distinctiveness`: how far it
    sets the user apart from the population. `support`: how many interactions carry it, on a
    logarithmic scale. `freshness`: share of its interactions in the newest fifth of the history.
    `rank`: place among the candidates of its kind, the strongest at 0.
    """

    coverage: float
    distinctiveness: float
    support: float
    freshness: float
    rank: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """`claims` name what it speaks of: of candidates with one in common, a profile takes one."""

    statement: Statement
    family: Family
    features: Features
    tokens: int
    claims: frozenset[str]


def make_candidate(
    family: Family,
    subject: str,
    text: str,
    history: Sequence[Interaction],
    support: Sequence[int],
    *,
    distinctiveness: float,
    rank: int,
    evidence: Sequence[int] | None = None,
    claims: Iterable[str] = (),
) -> Candidate:
    """Build a candidate about `subject` from positions in `history` (oldest first).

    `support` are all interactions the statement speaks of, `evidence` the ones to show (default:
    the newest of `support`).
    """
    kind = _KINDS[family]
    shown = sorted(evidence if evidence is not None else support)[-MAX_EVIDENCE:]
    statement = Statement(
        id=statement_id(kind, subject),
        kind=kind,
        text=text,
        evidence=tuple(history[position].key for position in shown),
    )
    recent = len(history) - max(1, len(history) // 5)
    features = Features(
        coverage=len(support) / len(history),
        distinctiveness=min(max(distinctiveness, 0.0), 1.0),
        support=min(1.0, len(support) ** 0.5 / 10),
        freshness=sum(position >= recent for position in support) / len(support),
        rank=min(1.0, rank / 5),
    )
    return Candidate(
        statement, family, features, estimate_tokens(text), frozenset((statement.id, *claims))
    )
