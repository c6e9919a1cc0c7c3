"""How a user writes, where it is unlike others."""

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.domain.interaction import Interaction
from service.generators.extractive.candidate import Candidate, Family, make_candidate
from service.generators.extractive.preferences import MIN_USERS
from service.generators.extractive.wording import activity, article, percent, plain, quoted
from service.generators.population import Population
from service.generators.reading.style import Style, opening_of, style_of

MIN_INTERACTIONS = 8
_CLEAR_Z = 1.3
_CLEAR_STEP = 0.15
_CLEAR_LOG_WORDS = 0.35
_OWN_HABIT = 0.6
_FULL_Z = 4.0
_MAX_HABITS = 2
_MIN_OPENINGS, _MAX_OPENINGS = 3, 3

_HABITS = {
    Style.QUESTION: "Asks a lot",
    Style.EXCLAMATION: "Likes exclamation marks",
    Style.CODE: "Often shows code or commands",
    Style.LINK: "Often adds links",
    Style.POLITE: "Says please, thanks or sorry a lot",
    Style.FIRST_PERSON: "Tends to write in the first person",
    Style.SMILEY: "Likes smileys and emoji",
    Style.BULLET: "Likes to write in lists",
    Style.LOWERCASE: "Tends to start without a capital letter",
}


def style_candidates(history: Sequence[Interaction], population: Population) -> list[Candidate]:
    """Habits of writing; without a population only the very marked ones."""
    written = [position for position, interaction in enumerate(history) if interaction.text.strip()]
    if len(written) < MIN_INTERACTIONS:
        return []
    styles = np.array([style_of(history[position].text) for position in written])
    mean, deviation = population.style()
    compared = population.users >= MIN_USERS
    z = (styles.mean(axis=0) - mean) / np.maximum(deviation, 0.05) if compared else None
    found = [_openings(history, written), _length(history, written, styles, mean, z)]
    habits = sorted(_HABITS, key=lambda habit: (-z[habit] if z is not None else 0.0, habit))
    named = (_habit(habit, history, written, styles, mean, z) for habit in habits)
    kept = [candidate for candidate in found if candidate] + [c for c in named if c][:_MAX_HABITS]
    return kept


def _habit(
    habit: Style,
    history: Sequence[Interaction],
    written: Sequence[int],
    styles: NDArray[np.float64],
    usual: NDArray[np.float64],
    z: NDArray[np.float64] | None,
) -> Candidate | None:
    share = float(styles[:, habit].mean())
    if z is None:
        clear = share >= _OWN_HABIT
    else:
        clear = bool(z[habit] >= _CLEAR_Z) and share - usual[habit] >= _CLEAR_STEP
    if not clear:
        return None
    nouns = activity([history[position].type for position in written]).nouns
    against = "" if z is None else f", where {percent(float(usual[habit]))} is usual"
    return make_candidate(
        Family.STYLE,
        habit.name,
        f"{_HABITS[habit]} ({percent(share)} of {nouns}{against}).",
        history,
        [position for position, row in zip(written, styles, strict=True) if row[habit]],
        distinctiveness=float(z[habit]) / _FULL_Z if z is not None else share - _OWN_HABIT,
        rank=2,
    )


def _length(
    history: Sequence[Interaction],
    written: Sequence[int],
    styles: NDArray[np.float64],
    usual: NDArray[np.float64],
    z: NDArray[np.float64] | None,
) -> Candidate | None:
    if z is None or abs(z[Style.WORDS]) < _CLEAR_Z:
        return None
    own = styles[:, Style.WORDS]
    if abs(own.mean() - usual[Style.WORDS]) < _CLEAR_LOG_WORDS:
        return None
    words, others = (round(math.expm1(x)) for x in (float(own.mean()), usual[Style.WORDS]))
    noun = activity([history[position].type for position in written]).noun
    how = "Writes at length" if z[Style.WORDS] > 0 else "Keeps it short"
    return make_candidate(
        Family.STYLE,
        "length",
        f"{how}: about {words} words {article(noun)} {noun}, where others write {others}.",
        history,
        written,
        distinctiveness=abs(float(z[Style.WORDS])) / _FULL_Z,
        rank=2,
    )


def _openings(history: Sequence[Interaction], written: Sequence[int]) -> Candidate | None:
    """The "area: what happened" convention, and the areas that come up most."""
    uses: dict[str, list[int]] = defaultdict(list)
    for position in written:
        opening = opening_of(history[position].text)
        if opening and plain(opening) == opening:
            uses[opening.lower()].append(position)
    opened = sum(map(len, uses.values()))
    frequent = sorted(uses, key=lambda opening: (-len(uses[opening]), opening))
    frequent = [o for o in frequent if len(uses[o]) >= _MIN_OPENINGS][:_MAX_OPENINGS]
    if opened < 0.5 * len(written) or not frequent:
        return None
    named = [opening_of(history[uses[opening][-1]].text) for opening in frequent]
    nouns = activity([history[position].type for position in written]).nouns
    support = sorted({position for opening in frequent for position in uses[opening]})
    return make_candidate(
        Family.STYLE,
        "opening",
        f"Usually opens {nouns} with the area they touch, most often {quoted(named)}.",
        history,
        support,
        distinctiveness=len(support) / len(written),
        rank=0,
    )
