"""What a user is about: phrases that go together, one statement a group."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.domain.interaction import Interaction
from service.generators.extractive.candidate import Candidate, Family, make_candidate
from service.generators.extractive.phrases import Phrase
from service.generators.extractive.wording import (
    NEUTRAL,
    Activity,
    activity,
    capitalised,
    listed,
    number_word,
)

MAX_THEMES = 5
_MAX_COMPANIONS = 4
_MIN_COMPANION_SHARE = 0.3
_MIN_COMPANION_LIFT = 1.5
_MAX_LOOSE = 4
# log(rate / background) from which a phrase counts as fully distinctive.
FULL_LOG_LIFT = 5.0
_OFTEN, _MOSTLY = 0.2, 0.5
_FEW = 5


@dataclass(frozen=True, slots=True)
class Theme:
    """Phrases that occur together, the strongest first, and the interactions (n,) about them.

    The phrases of a `loose` theme do not occur together; they were left over.
    """

    phrases: tuple[Phrase, ...]
    texts: tuple[int, ...]
    loose: bool = False

    @property
    def surfaces(self) -> list[str]:
        return [phrase.surface for phrase in self.phrases]


def find_themes(phrases: Sequence[Phrase], size: int) -> list[Theme]:
    """Group `phrases` of a history of `size` interactions; every phrase is in at most one group.

    Phrases without company come last, together.
    """
    if not phrases:
        return []
    uses = np.zeros((len(phrases), size), np.bool_)
    for row, phrase in enumerate(phrases):
        uses[row, phrase.texts] = True
    together = uses.astype(np.int64) @ uses.T.astype(np.int64)
    free = list(range(len(phrases)))
    groups: list[list[int]] = []
    loose: list[int] = []
    while free:
        head = free.pop(0)
        companions = _companions(head, free, together, size)
        if companions or not groups:
            groups.append([head, *companions])
        else:
            loose.append(head)
        free = [index for index in free if index not in companions]
    found = [_theme(phrases, group, uses) for group in groups[:MAX_THEMES]]
    return [*found, _loose_theme(phrases, loose[:_MAX_LOOSE], uses)] if loose else found


def theme_candidates(found: Sequence[Theme], history: Sequence[Interaction]) -> list[Candidate]:
    return [_candidate(theme, rank, history) for rank, theme in enumerate(found)]


def _companions(
    head: int, free: Sequence[int], together: NDArray[np.int64], size: int
) -> list[int]:
    """Phrases of `free` that occur with `head` in a good part of their uses, beyond chance."""
    result = []
    for other in free:
        both, own = int(together[head, other]), int(together[other, other])
        chance = own * int(together[head, head]) / size
        if both < 2 or both < _MIN_COMPANION_SHARE * own or both < _MIN_COMPANION_LIFT * chance:
            continue
        result.append(other)
        if len(result) == _MAX_COMPANIONS:
            break
    return result


def _theme(phrases: Sequence[Phrase], group: Sequence[int], uses: NDArray[np.bool_]) -> Theme:
    """A theme claims the interactions with its head or, as they may be by chance, two others."""
    texts = np.flatnonzero(uses[group[0]] | (uses[list(group)].sum(axis=0) >= 2))
    return Theme(tuple(phrases[index] for index in group), tuple(texts.tolist()))


def _loose_theme(phrases: Sequence[Phrase], group: Sequence[int], uses: NDArray[np.bool_]) -> Theme:
    """Phrases with nothing in common but the user: each speaks for its own interactions."""
    texts = np.flatnonzero(uses[list(group)].any(axis=0))
    return Theme(tuple(phrases[index] for index in group), tuple(texts.tolist()), loose=True)


def _candidate(theme: Theme, rank: int, history: Sequence[Interaction]) -> Candidate:
    lift = float(np.mean([phrase.log_lift for phrase in theme.phrases]))
    return make_candidate(
        Family.THEME,
        theme.phrases[0].subject,
        _sentence(theme, rank, history),
        history,
        theme.texts,
        distinctiveness=lift / FULL_LOG_LIFT,
        rank=rank,
        evidence=_clearest(theme),
    )


def _clearest(theme: Theme) -> list[int]:
    """Interactions with most of the theme's phrases, the newer of equals."""
    counts = Counter(text for phrase in theme.phrases for text in phrase.texts.tolist())
    return sorted(theme.texts, key=lambda text: (-counts[text], -text))[:8]


def _sentence(theme: Theme, rank: int, history: Sequence[Interaction]) -> str:
    """One of a few frames, by how often the theme comes up and in turn; none depends on order."""
    doing = activity([history[text].type for text in theme.texts])
    count, share = len(theme.texts), len(theme.texts) / len(history)
    if share >= _OFTEN and not theme.loose:
        return _frequent_theme(theme, doing, share > _MOSTLY, rank)
    named = listed(theme.surfaces)
    if theme.loose:
        return f"Mentions {named}."
    if count < _FEW:
        nouns = doing.nouns if count > 1 else doing.noun
        return f"{capitalised(doing.verb)} {named} now and then ({number_word(count)} {nouns})."
    frames = (
        f"Keeps coming back to {named}.",
        f"{capitalised(doing.verb)} {named} too.",
        f"At times {doing.verb} {named}.",
    )
    return frames[rank % len(frames)]


def _frequent_theme(theme: Theme, doing: Activity, mostly: bool, rank: int) -> str:
    opening = f"{'Mostly' if mostly else 'Often'} {doing.verb}"
    if mostly and doing is NEUTRAL:
        opening = "Is mostly about"
    if len(theme.phrases) < 3:
        return f"{opening} {listed(theme.surfaces)}."
    head, rest = theme.surfaces[0], listed(theme.surfaces[1:])
    frames = (f"{opening} {head}, in particular {rest}.", f"{opening} {head}, along with {rest}.")
    return frames[rank % len(frames)]
