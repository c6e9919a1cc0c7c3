"""What is told of a profile besides its reward."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

_WORD = re.compile(r"\w+")
_GRAM = 4


def copy_rate(profile: str, visible: Iterable[str]) -> float:
    """The share of the profile's four-word sequences that stand verbatim in the visible texts.

    0 for a profile of fewer than four words: it quotes nothing.
    """
    grams = [" ".join(words) for words in _grams(_words(profile))]
    if not grams:
        return 0.0
    seen = "\n".join(map(_spaced, visible))
    return sum(f" {gram} " in seen for gram in grams) / len(grams)


def _grams(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return zip(*(words[start:] for start in range(_GRAM)), strict=False)


# Every generator's profile is looked up in the same texts.
@lru_cache(maxsize=100_000)
def _spaced(text: str) -> str:
    return f" {' '.join(_words(text))} "


def _words(text: str) -> Sequence[str]:
    return _WORD.findall(text.casefold())
