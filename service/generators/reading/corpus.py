"""Texts of one user as arrays of folded words, hashed so that nothing readable need be kept."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from itertools import chain
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from service.generators.reading.vocabulary import STOPWORDS

# What a text is about stands early in it, and reading is most of the time a profile takes.
MAX_CHARS_READ = 800
_LONGEST_WORD = 40
_MIX = np.uint64(0x9E3779B97F4A7C15)

# Scripts written without spaces: every character is a word of its own.
UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_LETTER = rf"[^\W\d_{UNSPACED}]"
_WORD_CHAR = rf"[^\W{UNSPACED}]"


def _token_pattern(letter: str, word_char: str, flags: re.RegexFlag) -> re.Pattern[str]:
    """Words swallow what would make them a link or an address; then handles, <url>, <|tokens|>."""
    return re.compile(
        rf"{letter}{word_char}*+(?:[-'\u2019./+]{word_char}++)*+(?:[:@/]++[^\s,;)>\"'\]]++)?"
        rf"|[{UNSPACED}]|\d\w*+|[@<][|/]?\w*+|[^\w\s]++|\n\s*\n",
        flags,
    )


_TOKEN = _token_pattern(_LETTER, _WORD_CHAR, re.NOFLAG)
_ASCII_TOKEN = _token_pattern("[A-Za-z]", r"\w", re.ASCII)
_PLAIN_WORD = re.compile(rf"{_LETTER}{_WORD_CHAR}*(?:[-'\u2019./+]{_WORD_CHAR}+)*|[{UNSPACED}]")
_HANDLE = re.compile(r"u/\w[\w./-]*", re.IGNORECASE)
_HEX = re.compile(r"(?=.*\d)[0-9a-f]{6,40}")
_ELISION = re.compile(r"(?:[cdjlmnst]|qu)['\u2019](?=\w{2})", re.IGNORECASE)
_APOSTROPHES = str.maketrans("", "", "'\u2019")
_UNSPACED_CHAR = re.compile(rf"[{UNSPACED}]")


@dataclass(frozen=True, slots=True)
class Corpus:
    """Tokens of D texts, V distinct folded words and F distinct surface forms.

    `word_ids`, `form_ids` and `texts` have one entry a token, in reading order; `word_ids` is -1
    where a phrase must not cross (punctuation, numbers, links, the end of a text). `hashes` (V,)
    identify words across corpora; `content` (V,) is False for stopwords.
    """

    size: int
    words: tuple[str, ...]
    forms: tuple[str, ...]
    hashes: NDArray[np.uint64]
    content: NDArray[np.bool_]
    word_ids: NDArray[np.int64]
    form_ids: NDArray[np.int64]
    texts: NDArray[np.int64]

    def pairs(self) -> NDArray[np.int64]:
        """Positions (N,) of tokens that start a two-word phrase: two content words in a row."""
        solid = np.append(self.content, False)[self.word_ids]
        return np.flatnonzero(solid[:-1] & solid[1:])


def read_texts(texts: Sequence[str]) -> Corpus:
    """Tokenise `texts` (the first `MAX_CHARS_READ` characters of each) and fold their words."""
    heads = (_head(text) for text in texts)
    found = [(_ASCII_TOKEN if head.isascii() else _TOKEN).findall(head) for head in heads]
    for tokens in found:
        tokens.append("")
    lengths = np.fromiter(map(len, found), np.int64, len(found))
    stream = list(chain.from_iterable(found))
    forms = {form: index for index, form in enumerate(dict.fromkeys(stream))}
    form_ids = np.fromiter(map(forms.__getitem__, stream), np.int64, len(stream))
    folded = [fold(form) for form in forms]
    words = {word: index for index, word in enumerate(dict.fromkeys(filter(None, folded)))}
    word_of_form = np.array([words[word] if word else -1 for word in folded], np.int64)
    return Corpus(
        size=len(texts),
        words=tuple(words),
        forms=tuple(forms),
        hashes=word_hashes(words),
        content=np.fromiter(map(_is_content, words), np.bool_, len(words)),
        word_ids=word_of_form[form_ids] if len(stream) else form_ids,
        form_ids=form_ids,
        texts=np.repeat(np.arange(len(found)), lengths),
    )


def _head(text: str) -> str:
    """The part that is read, without a word that the cut would leave in pieces."""
    if len(text) <= MAX_CHARS_READ:
        return text
    head = text[:MAX_CHARS_READ]
    return head.rpartition(" ")[0] or head


# Histories share most of their words, and folding them is a sixth of the reading.
@lru_cache(maxsize=65_536)
def fold(form: str) -> str:
    """The word that a surface form is a variant of, or "" if it is none.

    Case, possessives and regular plurals fold together; numbers, hashes, links, addresses and
    handles are no words.
    """
    if not form or len(form) > _LONGEST_WORD or not form[0].isalpha():
        return ""
    # The quick way for most words: this runs for every form of every history.
    if form.isascii() and form.isalpha() and not form[:-1].isupper():
        return _singular(form.lower())
    if not _PLAIN_WORD.fullmatch(form) or _HANDLE.fullmatch(form):
        return ""
    bare = uninflected(form)
    if bare[-1] == "s" and len(bare) > 2 and bare[:-1].isalpha() and bare[:-1].isupper():
        return bare[:-1].lower()
    word = bare.lower()
    if "'" in word or "\u2019" in word:
        word = word.translate(_APOSTROPHES)
    if _HEX.fullmatch(word):
        return ""
    return _singular(word)


def uninflected(form: str) -> str:
    """`form` without an elided article before it or a possessive after it, case untouched."""
    if "'" not in form and "\u2019" not in form:
        return form
    elided = _ELISION.match(form)
    start = form[elided.end() :] if elided else form
    return start.removesuffix("'s").removesuffix("\u2019s")


def feature_hash(feature: str) -> int:
    """64 bits that stand for `feature`; equal on every machine and in every process."""
    return int.from_bytes(blake2b(feature.encode(errors="replace"), digest_size=8).digest(), "big")


def word_hashes(words: Collection[str]) -> NDArray[np.uint64]:
    """Cheaper than `feature_hash`, which would take a quarter of the reading; spread to 64 bits."""
    checksums = (crc32(word.encode(errors="replace")) for word in words)
    return np.fromiter(checksums, np.uint64, len(words)) * _MIX


def pair_hashes(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hashes (N,) of the phrases made of `first` (N,) followed by `second` (N,)."""
    mixed = (first ^ (first >> np.uint64(29))) * _MIX + second
    return np.asarray((mixed ^ (mixed >> np.uint64(32))) * _MIX)


def is_unspaced(word: str) -> bool:
    return len(word) == 1 and _UNSPACED_CHAR.match(word) is not None


def _singular(word: str) -> str:
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    return word[:-1]


def _is_content(word: str) -> bool:
    if word in _FOLDED_STOPWORDS:
        return False
    return len(word) > 1 or is_unspaced(word)


_FOLDED_STOPWORDS = STOPWORDS | {_singular(word) for word in STOPWORDS}
