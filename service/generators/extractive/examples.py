"""Single interactions that show a user at a glance."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from service.domain.interaction import Interaction
from service.generators.extractive.candidate import Candidate, Family, make_candidate
from service.generators.extractive.naming import names_somebody
from service.generators.extractive.phrases import Phrase
from service.generators.extractive.themes import Theme
from service.generators.extractive.wording import (
    activity,
    listed,
    plain,
    quote,
    quoted,
)
from service.generators.population import Population
from service.generators.reading.attributes import categories, rating

_TITLE_NAMES = ("title", "name", "item", "product", "subject", "label")
_MAX_TITLE_CHARS = 60
_MIN_DISTINCT_SHARE = 0.8
_MAX_BEST, _MAX_WORST = 4, 2
_MAX_QUOTES = 2
_CLEARLY_LESS = 2.0


def titles(history: Sequence[Interaction]) -> dict[str, int]:
    """What the interactions are about by name, with the newest position that carries it.

    A title is the value of a string attribute named like one whose values hardly repeat.
    """
    uses: dict[str, dict[str, int]] = defaultdict(dict)
    counts: Counter[str] = Counter()
    for position, interaction in enumerate(history):
        for attribute, value in categories(interaction.attributes):
            if attribute.lower().rpartition("_")[2] in _TITLE_NAMES:
                uses[attribute][plain(value)] = position
                counts[attribute] += 1
    distinct = [name for name in uses if len(uses[name]) >= _MIN_DISTINCT_SHARE * counts[name]]
    return uses[max(distinct, key=lambda name: (counts[name], name))] if distinct else {}


def example_candidates(
    history: Sequence[Interaction],
    found: Sequence[Theme],
    names: dict[str, int],
    population: Population,
) -> list[Candidate]:
    return _rated(history, names) or _typical(history, found, population)


def _typical(
    history: Sequence[Interaction], found: Sequence[Theme], population: Population
) -> list[Candidate]:
    """Quotes of the interactions that hold most of what sets the user apart, the second of what
    the first does not hold."""
    phrases = [phrase for theme in found for phrase in theme.phrases]
    total = sum(phrase.score for phrase in phrases)
    result: list[Candidate] = []
    for rank in range(_MAX_QUOTES):
        position = _most_telling(history, phrases, population)
        if position is None:
            break
        held = [phrase for phrase in phrases if position in phrase.texts]
        phrases = [phrase for phrase in phrases if position not in phrase.texts]
        doing = activity([history[position].type])
        opening = f"Among the {doing.nouns}" if rank else f"A typical {doing.noun}"
        result.append(
            make_candidate(
                Family.EXAMPLE,
                f"typical {rank}",
                f"{opening}: {quote(history[position].text)}.",
                history,
                [position],
                distinctiveness=sum(phrase.score for phrase in held) / total,
                rank=rank,
            )
        )
    return result


def _most_telling(
    history: Sequence[Interaction], phrases: Sequence[Phrase], population: Population
) -> int | None:
    """The position with most of `phrases` by score that is fit to quote, the newer of equals."""
    worth: dict[int, float] = defaultdict(float)
    for phrase in phrases:
        for text in phrase.texts.tolist():
            worth[text] += phrase.score
    best = sorted(worth, key=lambda text: (-worth[text], -text))[:5]
    return next((text for text in best if _is_quotable(history[text], population)), None)


def _is_quotable(interaction: Interaction, population: Population) -> bool:
    words = quote(interaction.text)
    return bool(words) and not names_somebody(words, interaction.type, population)


def _rated(history: Sequence[Interaction], names: dict[str, int]) -> list[Candidate]:
    """The best and the worst rated by name, the newest of equals."""
    scores = {
        name: score[1]
        for name, position in names.items()
        if 1 < len(name) <= _MAX_TITLE_CHARS and (score := rating(history[position].attributes))
    }
    if len(set(scores.values())) < 2:
        return []
    ranked = sorted(scores, key=lambda name: (-scores[name], -names[name]))
    highest, lowest = scores[ranked[0]], scores[ranked[-1]]
    best = [name for name in ranked[:_MAX_BEST] if scores[name] > lowest]
    found = [_about(history, names, "best rated", best, f"Gave {_rated_list(best, scores)}.", 0)]
    if highest - lowest >= _CLEARLY_LESS:
        worst = [name for name in ranked if scores[name] == lowest][:_MAX_WORST]
        text = f"Gave {quoted(worst)} only {lowest:g}."
        found.append(_about(history, names, "worst rated", worst, text, 1))
    return found


def _rated_list(names: Sequence[str], scores: dict[str, float]) -> str:
    groups: dict[float, list[str]] = defaultdict(list)
    for name in names:
        groups[scores[name]].append(name)
    return listed([f"{quoted(group)} {score:g}" for score, group in groups.items()])


def _about(
    history: Sequence[Interaction],
    names: dict[str, int],
    subject: str,
    shown: Sequence[str],
    text: str,
    rank: int,
) -> Candidate:
    return make_candidate(
        Family.EXAMPLE,
        subject,
        text,
        history,
        sorted(names[name] for name in shown),
        distinctiveness=0.3,
        rank=rank,
    )
