"""Single interactions that show a user at a glance."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from service.domain.interaction import Interaction
from service.domain.profile import StatementKind
from service.generators.extractive.candidate import Candidate, make_candidate
from service.generators.extractive.themes import Theme
from service.generators.extractive.wording import activity, is_conversation, plain, quote, quoted
from service.generators.reading.attributes import categories, rating
from service.generators.reading.corpus import fold
from service.generators.reading.vocabulary import COMMON, GIVEN_NAMES, STOPWORDS

_TITLE_NAMES = ("title", "name", "item", "product", "subject", "label")
_MAX_TITLE_CHARS = 60
_MIN_DISTINCT_SHARE = 0.8
_MAX_TITLES = 2
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
    history: Sequence[Interaction], found: Sequence[Theme], names: dict[str, int]
) -> list[Candidate]:
    rated = _liked(history, names)
    return [rated] if rated else _typical(history, found)


def _typical(history: Sequence[Interaction], found: Sequence[Theme]) -> list[Candidate]:
    """The interaction that holds most of what sets the user apart, quoted."""
    worth: dict[int, float] = defaultdict(float)
    for theme in found:
        for phrase in theme.phrases:
            for text in phrase.texts.tolist():
                worth[text] += phrase.score
    for position, weight in sorted(worth.items(), key=lambda item: (-item[1], -item[0]))[:5]:
        words = quote(history[position].text)
        if words and not _names_somebody(words, history[position].type):
            noun = activity([history[position].type]).noun
            share = weight / sum(phrase.score for theme in found for phrase in theme.phrases)
            return [
                make_candidate(
                    StatementKind.EXAMPLE,
                    "typical",
                    f"A typical {noun}: {words}.",
                    history,
                    [position],
                    distinctiveness=share,
                    rank=0,
                )
            ]
    return []


def _names_somebody(words: str, kind: str) -> bool:
    """Whether a quote may hold a name: a given name, or whoever a message begins by addressing."""
    first, *rest = [fold(word) for word in words.strip('"').split()] or [""]
    if GIVEN_NAMES.intersection((first, *rest)):
        return True
    return is_conversation([kind]) and first not in STOPWORDS | COMMON


def _liked(history: Sequence[Interaction], names: dict[str, int]) -> Candidate | None:
    """The best and the worst rated by name, the newest of equals."""
    scores = {
        name: score[1]
        for name, position in names.items()
        if 1 < len(name) <= _MAX_TITLE_CHARS and (score := rating(history[position].attributes))
    }
    if len(set(scores.values())) < 2:
        return None
    ranked = sorted(scores, key=lambda name: (-scores[name], -names[name]))
    best = [name for name in ranked[:_MAX_TITLES] if scores[name] == scores[ranked[0]]]
    highest, lowest = scores[ranked[0]], scores[ranked[-1]]
    text = f"Gave {quoted(best)} {highest:g}."
    shown = best
    if highest - lowest >= _CLEARLY_LESS:
        worst = max((name for name in ranked if scores[name] == lowest), key=lambda n: names[n])
        text = f"Gave {quoted(best)} {highest:g}, {quoted([worst])} only {lowest:g}."
        shown = [*best, worst]
    positions = sorted(names[name] for name in shown)
    return make_candidate(
        StatementKind.EXAMPLE, "rated", text, history, positions, distinctiveness=0.3, rank=0
    )
