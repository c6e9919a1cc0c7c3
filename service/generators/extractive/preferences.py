"""Categories that a user picks or rates unlike others do."""

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from service.domain.interaction import Interaction
from service.generators.extractive.candidate import Candidate, Family, make_candidate
from service.generators.extractive.wording import activity, listed, percent, plain, plural, spoken
from service.generators.population import Population
from service.generators.reading.attributes import DECADE, categories, rating

MIN_USERS = 5
_MAX_CATEGORY_CHARS = 40
_MIN_COUNT = 3
_MAX_NAMED = 3
# An attribute whose values hardly ever repeat names things, it does not sort them.
_MAX_DISTINCT_SHARE = 0.5
_CONSTANT_SHARE = 0.95
_CLEAR_Z = 2.5
_FULL_Z = 8.0
_CLEARLY_MORE, _CLEARLY_LESS = 1.3, 0.5
_FAR_MORE = 3.0
_MIN_SEEN_ELSEWHERE = 0.04
_CLEAR_RATING_STEP = 0.3
_CLEAR_AVERAGE_STEP = 0.35
_MIN_RATED = 4
_MIN_RATED_OVERALL = 10


@dataclass(frozen=True, slots=True)
class Value:
    """One value of an attribute: who carries it here, and what is usual.

    `texts` are positions in the history; `share` is theirs among the interactions that have the
    attribute, `usual` the same over the population (NaN when unknown). `z` is the difference in
    standard errors. `mean` and `usual_mean` are average ratings (NaN without ratings).
    """

    name: str
    texts: tuple[int, ...]
    share: float
    usual: float
    z: float
    rated: int
    mean: float
    usual_mean: float

    @property
    def spoken(self) -> str:
        return spoken(self.name)


@dataclass(frozen=True, slots=True)
class Attribute:
    """A categorical attribute of one history, its values most frequent first."""

    name: str
    texts: tuple[int, ...]
    values: tuple[Value, ...]
    compared: bool

    def named(self, values: Sequence[str]) -> str:
        return f"titles from the {listed(values)}" if self.name == DECADE else listed(values)

    @property
    def noun(self) -> str:
        words = plain(re.sub(r"[\W_]+", " ", self.name)).lower()
        return _singular(words) or "category"


def _singular(noun: str) -> str:
    if noun.endswith("ies"):
        return f"{noun[:-3]}y"
    return noun if noun.endswith("ss") else noun.removesuffix("s")


def categorical_attributes(
    history: Sequence[Interaction], population: Population
) -> list[Attribute]:
    """Attributes whose values repeat within the history and differ within the population."""
    uses: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for position, interaction in enumerate(history):
        for category in categories(interaction.attributes):
            uses[category.attribute][category.value].append(position)
    scores = [rating(interaction.attributes) for interaction in history]
    ratings = {i: score[1] for i, score in enumerate(scores) if score}
    found = (
        _attribute(name, uses[name], ratings, population)
        for name in sorted(uses, key=lambda name: (name == DECADE, name))
    )
    return [attribute for attribute in found if attribute is not None]


def preference_candidates(
    attributes: Sequence[Attribute], history: Sequence[Interaction], population: Population
) -> list[Candidate]:
    found = [_strictness(history, population)]
    for rank, attribute in enumerate(attributes):
        found += [
            _ratings(attribute, history, rank),
            _favoured(attribute, history, rank),
            _shunned(attribute, history, rank),
        ]
    return [candidate for candidate in found if candidate is not None]


def _attribute(
    name: str, uses: dict[str, list[int]], ratings: dict[int, float], population: Population
) -> Attribute | None:
    occurrences = sum(map(len, uses.values()))
    texts = tuple(sorted({text for texts in uses.values() for text in texts}))
    if len(texts) < _MIN_COUNT or len(uses) > _MAX_DISTINCT_SHARE * occurrences:
        return None
    known = population.fact(name)
    compared = known.users >= MIN_USERS and known.interactions > len(texts)
    values = [
        _value(name, value, uses[value], len(texts), ratings, population, compared)
        for value in sorted(uses, key=lambda value: (-len(uses[value]), value))
        if len(value) <= _MAX_CATEGORY_CHARS and plain(value) == value
    ]
    if not values or (compared and values[0].usual >= _CONSTANT_SHARE):
        return None
    return Attribute(name, texts, tuple(values), compared)


def _value(
    name: str,
    value: str,
    texts: list[int],
    size: int,
    ratings: dict[int, float],
    population: Population,
    compared: bool,
) -> Value:
    rated = [ratings[text] for text in texts if text in ratings]
    known, fact = population.fact(name), population.fact(name, value)
    share = len(texts) / size
    usual = fact.interactions / known.interactions if compared else math.nan
    deviation = math.sqrt(max(usual * (1 - usual), 0.25 / size) / size) if compared else math.nan
    return Value(
        name=value,
        texts=tuple(texts),
        share=share,
        usual=usual,
        z=(share - usual) / deviation if compared else math.nan,
        rated=len(rated),
        mean=sum(rated) / len(rated) if rated else math.nan,
        usual_mean=fact.mean_rating if compared and fact.users >= MIN_USERS else math.nan,
    )


def _favoured(attribute: Attribute, history: Sequence[Interaction], rank: int) -> Candidate | None:
    if not attribute.compared:
        return _frequent(attribute, history, rank)
    values = [
        value
        for value in attribute.values
        if len(value.texts) >= _MIN_COUNT
        and value.z >= _CLEAR_Z
        and value.share >= _CLEARLY_MORE * value.usual
    ]
    values = sorted(values, key=lambda value: (-value.z, value.name))[:_MAX_NAMED]
    if not values:
        return None
    nouns = activity([history[text].type for text in attribute.texts]).nouns
    first, *others = values
    # One share is enough to judge by; more would cost the budget other statements.
    named = attribute.named(
        [f"{first.spoken} ({percent(first.share)} of {nouns})", *(v.spoken for v in others)]
    )
    far = all(value.share >= _FAR_MORE * value.usual for value in values)
    verb = "Goes for" if any(value.rated for value in values) else "Cares about"
    text = f"{verb} {named}, {'far ' if far else ''}more than most."
    return _about(attribute, values, "more", text, history, values[0].z / _FULL_Z, rank)


def _frequent(attribute: Attribute, history: Sequence[Interaction], rank: int) -> Candidate | None:
    """What comes up most, when there is nobody to compare with."""
    values = [v for v in attribute.values if v.share >= 0.2 and len(v.texts) >= _MIN_COUNT]
    values = values[:_MAX_NAMED]
    if not values:
        return None
    size = len(attribute.texts)
    named = listed([f"{value.spoken} ({len(value.texts)} of {size})" for value in values])
    noun = attribute.noun
    text = f"The most common {f'{noun} is' if len(values) == 1 else f'{plural(noun)} are'} {named}."
    return _about(attribute, values, "more", text, history, values[0].share, rank)


def _shunned(attribute: Attribute, history: Sequence[Interaction], rank: int) -> Candidate | None:
    """Values that others have often and this user hardly ever."""
    if not attribute.compared:
        return None
    values = [
        value
        for value in attribute.values
        if value.usual >= _MIN_SEEN_ELSEWHERE
        and value.z <= -_CLEAR_Z
        and value.share <= _CLEARLY_LESS * value.usual
    ]
    values = sorted(values, key=lambda value: (value.z, value.name))[:_MAX_NAMED]
    if not values:
        return None
    first, *others = values
    share = f"{percent(first.share)}, where {percent(first.usual)} is usual"
    named = attribute.named([f"{first.spoken} ({share})", *(v.spoken for v in others)])
    text = f"Seldom goes for {named}."
    distinctiveness = -values[0].z / _FULL_Z
    return _about(attribute, values, "less", text, history, distinctiveness, rank, Family.AVERSION)


def _ratings(attribute: Attribute, history: Sequence[Interaction], rank: int) -> Candidate | None:
    rated = [value for value in attribute.values if value.rated >= _MIN_RATED]
    scores = [score[1] for i in attribute.texts if (score := rating(history[i].attributes))]
    if len(rated) < 2 or len(set(scores)) < 2:
        return None
    average = sum(scores) / len(scores)
    deviation = math.sqrt(sum((score - average) ** 2 for score in scores) / len(scores))
    clear = [
        value
        for value in rated
        if abs(value.mean - average) >= _CLEAR_RATING_STEP
        and abs(value.mean - average) * math.sqrt(value.rated) >= 1.5 * deviation
    ]
    clear.sort(key=lambda v: (-abs(v.mean - average) * math.sqrt(v.rated), v.name))
    high = [value for value in clear if value.mean > average][:_MAX_NAMED]
    low = [value for value in clear if value.mean < average][:2]
    if not clear:
        return None
    parts = [
        f"{attribute.named([_averaged(value) for value in values])} {level}"
        for level, values in (("highly", high), ("low", low))
        if values
    ]
    strongest = abs(clear[0].mean - average) * math.sqrt(clear[0].rated) / deviation
    text = f"Rates {', '.join(parts)}, against an average of {average:.1f}."
    values = high + low
    return _about(attribute, values, "rating", text, history, strongest / _FULL_Z, rank)


def _strictness(history: Sequence[Interaction], population: Population) -> Candidate | None:
    """Whether the user's ratings are lower or higher than usual on the whole."""
    scores = [(i, score) for i, entry in enumerate(history) if (score := rating(entry.attributes))]
    if len(scores) < _MIN_RATED_OVERALL or len({name for _, (name, _) in scores}) > 1:
        return None
    usual = population.fact(scores[0][1][0])
    mean = sum(value for _, (_, value) in scores) / len(scores)
    step = mean - usual.mean_rating
    if usual.users < MIN_USERS or abs(step) < _CLEAR_AVERAGE_STEP:
        return None
    how = "generously" if step > 0 else "strictly"
    return make_candidate(
        Family.PREFERENCE,
        "rating level",
        f"Rates {how}: {mean:.1f} on average, where {usual.mean_rating:.1f} is usual.",
        history,
        [position for position, _ in scores],
        distinctiveness=abs(step) / 2,
        rank=2,
    )


def _averaged(value: Value) -> str:
    return f"{value.spoken} ({value.mean:.1f} over {value.rated})"


def _about(
    attribute: Attribute,
    values: Sequence[Value],
    aspect: str,
    text: str,
    history: Sequence[Interaction],
    distinctiveness: float,
    rank: int,
    family: Family = Family.PREFERENCE,
) -> Candidate:
    support = sorted({position for value in values for position in value.texts})
    return make_candidate(
        family,
        f"{attribute.name} {aspect}",
        text,
        history,
        support,
        distinctiveness=distinctiveness,
        rank=rank,
    )
