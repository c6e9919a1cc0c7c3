"""Telling words that can name a subject from verbs, adverbs and adjectives, without a tagger."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.generators.reading.corpus import Corpus, fold
from service.generators.reading.vocabulary import (
    AFTER_NOUN,
    AFTER_OTHER,
    BEFORE_NOUN,
    BEFORE_OTHER,
)

_ADVERB_ENDINGS = ("ly",)
_OTHER_ENDINGS = ("ly", "ful", "ible", "able", "ous", "less", "ed", "ish")
_NOUNS_IN_LY = frozenset({"assembly", "family", "reply", "supply", "anomaly", "italy", "july"})
_VERB_ENDINGS = ("ing", "ed")
# A word in -ing or -ed must look this much more like a noun.
_ENDING_HANDICAP = 2.0
_ADJECTIVE_ENDINGS = ("al", "ive", "ic", "ary", "ant", "ent", "ing", "ed", "ian")
# Share of uses in front of another word from which a word only qualifies.
_QUALIFIES_OFTEN, _QUALIFIES_NEARLY_ALWAYS = 0.4, 0.8
_MOSTLY = 0.6
_LETTER_RUN = re.compile(r"[^\W\d_]{3}")
# "s3", "f7", "k8": how code and keys name things with fewer letters.
_SHORT_CODE = re.compile(r"[a-z]{1,2}\d{1,2}[a-z]?")
_MAX_DIGIT_SHARE = 0.4


@dataclass(frozen=True, slots=True)
class Naming:
    """What each word (V,) can do in a phrase.

    `starts`, `ends`: it may begin or end a phrase. `alone`: it names something by itself, rather
    than qualify the word after it.
    """

    starts: NDArray[np.bool_]
    ends: NDArray[np.bool_]
    alone: NDArray[np.bool_]


def naming(corpus: Corpus, among: NDArray[np.bool_]) -> Naming:
    """Judge the words `among` (V,) by their neighbours and endings; without evidence, they may."""
    proper = _proper(corpus, among)
    votes_for = _votes(corpus, BEFORE_NOUN, -1) + _votes(corpus, AFTER_NOUN, 1)
    votes_against = _votes(corpus, BEFORE_OTHER, -1) + _votes(corpus, AFTER_OTHER, 1)
    handicap = np.where(_ends(corpus, among, _VERB_ENDINGS), _ENDING_HANDICAP, 1.0)
    voted = votes_for >= votes_against * handicap
    starts = proper | (voted & ~_ends(corpus, among, _ADVERB_ENDINGS))
    ends = proper | (voted & ~_ends(corpus, among, _OTHER_ENDINGS))
    return Naming(starts, ends, ends & (proper | _unqualifying(corpus, among)))


def _unqualifying(corpus: Corpus, among: NDArray[np.bool_]) -> NDArray[np.bool_]:
    word, after = corpus.word_ids[:-1], corpus.word_ids[1:]
    qualifies = (word >= 0) & np.append(corpus.content, False)[after]
    qualifying = np.bincount(word[qualifies], minlength=len(corpus.words))
    adjectives = _ends(corpus, among, _ADJECTIVE_ENDINGS)
    limit = np.where(adjectives, _QUALIFIES_OFTEN, _QUALIFIES_NEARLY_ALWAYS)
    return qualifying < limit * np.maximum(_occurrences(corpus), 1)


def wordlike(corpus: Corpus) -> NDArray[np.bool_]:
    """Words (V,) that read as such: no emoticons, paths, serial numbers or scraps of letters."""
    # VAT, E2 or TCP/IP: capitals vouch for what is short.
    capitals = {
        fold(form)
        for form in corpus.forms
        if form.isupper() and len(form) > 1 and form.replace("/", "").isalnum()
    }
    like = (word in capitals or is_wordlike(word) for word in corpus.words)
    return np.fromiter(like, np.bool_, len(corpus.words))


def is_wordlike(word: str) -> bool:
    if not word.isascii() or _SHORT_CODE.fullmatch(word):
        return True
    digits = sum(map(str.isdigit, word))
    if digits > _MAX_DIGIT_SHARE * len(word):
        return False
    return _LETTER_RUN.search(word) is not None


def addressees(corpus: Corpus) -> NDArray[np.bool_]:
    """Words (V,) that mostly open a text: in a conversation, the names of those spoken to."""
    opens = np.append(True, corpus.texts[1:] != corpus.texts[:-1]) & (corpus.word_ids >= 0)
    openings = np.bincount(corpus.word_ids[opens], minlength=len(corpus.words))
    return openings >= _MOSTLY * _occurrences(corpus)


def _proper(corpus: Corpus, among: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Words (V,) written with a capital or a code sign mostly, and not only to open a sentence."""
    inside = np.append(False, corpus.word_ids[:-1] >= 0) & np.append(among, False)[corpus.word_ids]
    here, forms = corpus.word_ids[inside], corpus.form_ids[inside]
    marked = np.zeros(len(corpus.forms))
    for form in np.unique(forms).tolist():
        marked[form] = _is_marked(corpus.forms[form])
    uses = np.bincount(here, minlength=len(corpus.words))
    marked_uses = np.bincount(here, marked[forms], len(corpus.words))
    return (uses > 0) & (marked_uses > _MOSTLY * uses)


def _occurrences(corpus: Corpus) -> NDArray[np.int64]:
    return np.bincount(corpus.word_ids + 1, minlength=len(corpus.words) + 1)[1:]


def _is_marked(form: str) -> bool:
    return not form.islower() or not form.replace("-", "").isalpha()


def _ends(corpus: Corpus, among: NDArray[np.bool_], endings: tuple[str, ...]) -> NDArray[np.bool_]:
    result = np.zeros(len(corpus.words), np.bool_)
    for index in np.flatnonzero(among).tolist():
        word = corpus.words[index]
        result[index] = word.endswith(endings) and len(word) > 5 and word not in _NOUNS_IN_LY
    return result


def _votes(corpus: Corpus, neighbours: frozenset[str], step: int) -> NDArray[np.int64]:
    """How often each word (V,) has one of `neighbours` right before (-1) or after it (1)."""
    listed = np.fromiter((word in neighbours for word in corpus.words), np.bool_, len(corpus.words))
    near = np.append(listed, False)[corpus.word_ids]
    word, near = (corpus.word_ids[1:], near[:-1]) if step < 0 else (corpus.word_ids[:-1], near[1:])
    voted = word[near & (word >= 0)]
    return np.bincount(voted, minlength=len(corpus.words))
