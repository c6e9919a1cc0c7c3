"""What is told of a profile besides its reward."""

import re
from collections.abc import Iterable, Iterator, Sequence

_WORD = re.compile(r"\w+")
_GRAM = 4


def copy_rate(profile: str, visible: Iterable[str]) -> float:
    """The share of the profile's four-word sequences that stand verbatim in the visible texts.

    0 for a profile of fewer than four words: it quotes nothing.
    """
    grams = list(_grams(profile))
    if not grams:
        return 0.0
    seen = {gram for text in visible for gram in _grams(text)}
    return sum(gram in seen for gram in grams) / len(grams)


def _grams(text: str) -> Iterator[tuple[str, ...]]:
    words: Sequence[str] = _WORD.findall(text.casefold())
    return zip(*(words[start:] for start in range(_GRAM)), strict=False)
