"""Preferences in few words: the values that a user picks more than others, without numbers."""

from collections import Counter
from collections.abc import Sequence

from service.domain.interaction import Interaction
from service.generators.extractive.candidate import Candidate, Family, make_candidate
from service.generators.extractive.preferences import Attribute, Value
from service.generators.extractive.wording import listed
from service.generators.reading.attributes import rating

_MAX_NAMED = 6
_MIN_COUNT = 2
_CLEAR_Z = 1.0
_FULL_Z = 8.0
_MAX_RATINGS = 3
_MIN_RATED = 5


def taste_candidates(
    attributes: Sequence[Attribute], history: Sequence[Interaction], lately: int
) -> list[Candidate]:
    """`lately`: the position from which the history counts as recent."""
    found = [_usual_ratings(history)]
    for rank, attribute in enumerate(attributes):
        found += [_taste(attribute, history, rank), _lately(attribute, history, lately, rank)]
    return [candidate for candidate in found if candidate is not None]


def _taste(attribute: Attribute, history: Sequence[Interaction], rank: int) -> Candidate | None:
    values = [v for v in attribute.values if len(v.texts) >= _MIN_COUNT and v.z >= _CLEAR_Z]
    values = sorted(values, key=lambda value: (-value.z, value.name))[:_MAX_NAMED]
    return _named("Goes for", attribute, values, history, rank) if values else None


def _lately(
    attribute: Attribute, history: Sequence[Interaction], start: int, rank: int
) -> Candidate | None:
    """What the newest part holds more of than is usual, the most frequent first."""
    size = max(1, sum(text >= start for text in attribute.texts))
    shares = {
        value.name: sum(text >= start for text in value.texts) / size for value in attribute.values
    }
    values = [
        value
        for value in attribute.values
        if shares[value.name] * size >= _MIN_COUNT and shares[value.name] > value.usual
    ]
    values = sorted(values, key=lambda v: (v.usual - shares[v.name], v.name))[:_MAX_NAMED]
    return _named("Lately goes for", attribute, values, history, rank) if values else None


def _named(
    opening: str,
    attribute: Attribute,
    values: Sequence[Value],
    history: Sequence[Interaction],
    rank: int,
) -> Candidate:
    return make_candidate(
        Family.TASTE,
        f"{opening} {attribute.name}",
        f"{opening} {attribute.named([value.spoken for value in values])}.",
        history,
        sorted({text for value in values for text in value.texts}),
        distinctiveness=values[0].z / _FULL_Z,
        rank=rank,
    )


def _usual_ratings(history: Sequence[Interaction]) -> Candidate | None:
    scores = {i: score[1] for i, one in enumerate(history) if (score := rating(one.attributes))}
    if len(scores) < _MIN_RATED:
        return None
    common = [value for value, _ in Counter(scores.values()).most_common(_MAX_RATINGS)]
    return make_candidate(
        Family.TASTE,
        "usual ratings",
        f"Mostly rates {listed([f'{value:g}' for value in common])}.",
        history,
        [position for position, value in scores.items() if value in common],
        distinctiveness=0.0,
        rank=0,
    )
