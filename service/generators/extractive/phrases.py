"""Phrases that a history uses more than the population does."""

import math
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from service.generators.extractive.naming import MAX_USERS_OF_A_NAME, people
from service.generators.extractive.nouns import addressees, naming, wordlike
from service.generators.population import Population
from service.generators.reading.corpus import Corpus, fold, is_unspaced, pair_hashes, uninflected
from service.generators.reading.vocabulary import COMMON

_COMMON = frozenset(fold(word) for word in COMMON)
MAX_PHRASES = 40
_POOL = 160
_CONNECTORS = ("of",)
# The background list speaks with the weight of this many interactions.
_PRIOR_INTERACTIONS = 100.0
_PRIOR_RATE = 0.002
_PRIOR_RATE_COMMON = 0.04
# Without a population, two words in a row are taken to be this much rarer than either.
_PAIR_RARITY = 0.1
_WORTH_IF_COMMON = 0.6
# A phrase that every other user has is worth this share of one that nobody else has.
_WORTH_IF_WIDESPREAD = 0.25
_COVERED = 0.6
_MIN_USERS_TO_TELL_NAMES = 10
_MIN_STEM, _SAME_STEM = 5, 0.6
_MIN_LOG_LIFT = 0.7
# Log-likelihood ratio from which a phrase is no accident of a small sample.
_MIN_SCORE = 4.0

Index = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Phrase:
    """One to three folded words (`ids` in the corpus) and where they stand.

    `texts` are the positions (n,) of the interactions that use it. `rate` is the share of the
    history that does, `background` the share expected of anybody; `score` is how much the phrase
    says about the user, larger is more.
    """

    words: tuple[str, ...]
    ids: tuple[int, ...]
    surface: str
    texts: Index
    rate: float
    background: float
    score: float

    @property
    def subject(self) -> str:
        return " ".join(self.words)

    @property
    def log_lift(self) -> float:
        return float(np.log(self.rate / self.background))


@dataclass(frozen=True, slots=True)
class _Grams:
    """N distinct phrases of one length: `words` (N, length), uses as (phrase, text) pairs (U,).

    `background` and `worth` (N,) say how common a phrase is and how much that should count.
    """

    words: Index
    phrases: Index
    texts: Index
    background: Floats
    worth: Floats

    @property
    def counts(self) -> Index:
        return np.bincount(self.phrases, minlength=len(self.words))


def salient_phrases(
    corpus: Corpus,
    population: Population,
    never_alone: Collection[str] = (),
    conversation: bool = False,
) -> list[Phrase]:
    """Phrases (at most `MAX_PHRASES`) that set the texts of one user apart, strongest first.

    No two share a word. `never_alone` are folded words that only count in the company of
    others. In a `conversation`, words that open texts and that hardly anybody else uses are taken
    for names of those spoken to.
    """
    if not len(corpus.words):
        return []
    minimum = 1 if corpus.size < 4 else 2 if corpus.size < 30 else 3
    allowed = corpus.content & wordlike(corpus) & ~people(corpus)
    if conversation and population.users >= _MIN_USERS_TO_TELL_NAMES:
        _, users = population.word_rates(corpus.hashes)
        allowed &= ~(addressees(corpus) & (users <= MAX_USERS_OF_A_NAME))
    singles = _singles(corpus, population, allowed, minimum)
    frequent = np.zeros(len(corpus.words), np.bool_)
    frequent[singles.words[:, 0]] = True
    names = naming(corpus, frequent)
    rates = np.ones(len(corpus.words))
    rates[singles.words[:, 0]] = singles.background
    grams = [singles, _pairs(corpus, population, frequent, rates)]
    grams.append(_triples(corpus, frequent, names.ends, grams[1]))
    subject = names.alone & ~_listed(corpus, {*never_alone, *_COMMON})
    grams = [
        _kept(grams[0], subject, subject),
        *(_kept(gram, names.starts, names.ends) for gram in grams[1:]),
    ]
    scored = [phrase for gram in grams for phrase in _scored(corpus, gram, minimum)]
    scored.sort(key=lambda phrase: (-phrase.score, phrase.words))
    return _distinct(corpus, scored[:_POOL])


def _singles(
    corpus: Corpus, population: Population, allowed: NDArray[np.bool_], minimum: int
) -> _Grams:
    occurrences = np.bincount(corpus.word_ids + 1, minlength=len(corpus.words) + 1)[1:]
    usable = np.append(allowed & (occurrences >= minimum), False)[corpus.word_ids]
    words, phrases, texts = _uses(corpus.word_ids[usable], corpus.texts[usable], corpus.size)
    counts = np.bincount(phrases, minlength=len(words))
    everywhere, users = population.word_rates(corpus.hashes[words])
    # The population has seen this user too.
    others = np.maximum(everywhere.astype(np.float64) - counts, 0.0)
    size = max(population.interactions - corpus.size, 0)
    common = np.array([_is_weak(corpus.words[word]) for word in words], np.bool_)
    prior = np.where(common, _PRIOR_RATE_COMMON, _PRIOR_RATE)
    background = (others + _PRIOR_INTERACTIONS * prior) / (size + _PRIOR_INTERACTIONS)
    return _Grams(words[:, None], phrases, texts, background, _rarity(population, users))


def _pairs(
    corpus: Corpus, population: Population, frequent: NDArray[np.bool_], rates: Floats
) -> _Grams:
    padded = np.append(frequent, False)[corpus.word_ids]
    starts = np.flatnonzero(padded[:-1] & padded[1:])
    first, second = corpus.word_ids[starts], corpus.word_ids[starts + 1]
    size = len(corpus.words)
    keys, phrases, texts = _uses(first * size + second, corpus.texts[starts], corpus.size)
    words = np.stack([keys // size, keys % size], axis=1)
    rarest = rates[words].min(axis=1) if len(words) else np.zeros(0)
    users = population.phrase_users(
        pair_hashes(corpus.hashes[words[:, 0]], corpus.hashes[words[:, 1]])
    )
    background = _pair_background(population, users, rarest)
    return _Grams(words, phrases, texts, background, _rarity(population, users))


def _rarity(population: Population, users: NDArray[np.uint32]) -> Floats:
    """Worth (N,) of features that this user and so many in all have, falling with their number."""
    others = np.maximum(users.astype(np.float64) - 1.0, 0.0)
    spread = np.log1p(others) / math.log1p(max(population.users - 1, 1))
    return 1.0 - (1.0 - _WORTH_IF_WIDESPREAD) * np.minimum(spread, 1.0)


def _pair_background(population: Population, users: NDArray[np.uint32], rarest: Floats) -> Floats:
    """Share of interactions (N,) with a pair, from how many users have it and its rarer word."""
    if population.users < 2:
        return rarest * _PAIR_RARITY
    others = np.maximum(users.astype(np.float64) - 1.0, 0.5) / (population.users - 1)
    uses_per_user = 2.0 * population.users / population.interactions
    return np.minimum(rarest, others * min(1.0, uses_per_user))


def _triples(
    corpus: Corpus, frequent: NDArray[np.bool_], nameable: NDArray[np.bool_], pairs: _Grams
) -> _Grams:
    """Three words in a row whose pairs are known, or two joined by "of"."""
    size = len(corpus.words)
    if len(corpus.word_ids) < 3 or not len(pairs.words):
        nothing = np.zeros(0, np.int64)
        return _Grams(np.zeros((0, 3), np.int64), nothing, nothing, np.zeros(0), np.zeros(0))
    solid = np.append(frequent, False)[corpus.word_ids]
    named = np.append(frequent & nameable, False)[corpus.word_ids]
    joins = np.append(np.isin(np.array(corpus.words), _CONNECTORS), False)[corpus.word_ids]
    starts = np.flatnonzero(solid[:-2] & (named[1:-1] | joins[1:-1]) & solid[2:])
    a, b, c = (corpus.word_ids[starts + offset] for offset in range(3))
    keys, phrases, texts = _uses((a * size + b) * size + c, corpus.texts[starts], corpus.size)
    words = np.stack([keys // size**2, keys // size % size, keys % size], axis=1)
    known = dict(zip(map(tuple, pairs.words.tolist()), pairs.background.tolist(), strict=True))
    floor = float(pairs.background.min())
    background = np.array(
        [min(known.get((x, y), floor), known.get((y, z), floor)) for x, y, z in words.tolist()],
        np.float64,
    )
    return _Grams(words, phrases, texts, background, np.ones(len(words)))


def _kept(grams: _Grams, starts: NDArray[np.bool_], ends: NDArray[np.bool_]) -> _Grams:
    """Phrases that begin with a word of `starts` (V,) and end with one of `ends` (V,)."""
    keep = starts[grams.words[:, 0]] & ends[grams.words[:, -1]]
    renumbered = np.cumsum(keep) - 1
    uses = keep[grams.phrases]
    return _Grams(
        grams.words[keep],
        renumbered[grams.phrases[uses]],
        grams.texts[uses],
        grams.background[keep],
        grams.worth[keep],
    )


def _listed(corpus: Corpus, words: Collection[str]) -> NDArray[np.bool_]:
    return np.fromiter((word in words for word in corpus.words), np.bool_, len(corpus.words))


def _uses(keys: Index, texts: Index, size: int) -> tuple[Index, Index, Index]:
    """Distinct keys (N,) and their distinct uses, as indices of keys (U,) and of texts (U,)."""
    uses = np.unique(keys * (size + 1) + texts)
    distinct, phrases = np.unique(uses // (size + 1), return_inverse=True)
    return distinct, phrases.astype(np.int64), uses % (size + 1)


def _scored(corpus: Corpus, grams: _Grams, minimum: int) -> list[Phrase]:
    counts = grams.counts
    rates = counts / corpus.size
    lifts = np.log(np.maximum(rates, 1e-9) / grams.background)
    absent = np.maximum(1 - rates, 1e-9) / np.maximum(1 - grams.background, 1e-9)
    scores = counts * lifts + (corpus.size - counts) * np.log(absent)
    best = np.flatnonzero((counts >= minimum) & (lifts > _MIN_LOG_LIFT) & (scores > _MIN_SCORE))
    best = best[np.argsort(-scores[best], kind="stable")][:_POOL]
    order = np.argsort(grams.phrases, kind="stable")
    edges = np.searchsorted(grams.phrases[order], np.arange(len(grams.words) + 1))
    result = []
    for index in best.tolist():
        words = tuple(corpus.words[word] for word in grams.words[index])
        worth = _WORTH_IF_COMMON if all(_is_weak(word) for word in words) else 1.0
        result.append(
            Phrase(
                words=words,
                ids=tuple(grams.words[index].tolist()),
                surface="",
                texts=grams.texts[order[edges[index] : edges[index + 1]]],
                rate=float(rates[index]),
                background=float(grams.background[index]),
                score=float(scores[index] * grams.worth[index]) * worth,
            )
        )
    return result


def _distinct(corpus: Corpus, phrases: list[Phrase]) -> list[Phrase]:
    """Drop words that mostly occur inside a longer phrase, then whatever repeats a word."""
    inside = _uses_inside(phrases)
    kept: list[Phrase] = []
    taken: list[str] = []
    for phrase in phrases:
        covered = inside.get(phrase.words, 0) >= _COVERED * len(phrase.texts)
        if covered or _repeats(phrase, taken):
            continue
        kept.append(_with_surface(corpus, phrase))
        taken.extend(phrase.words)
        if len(kept) == MAX_PHRASES:
            break
    return kept


def _uses_inside(phrases: list[Phrase]) -> dict[tuple[str, ...], int]:
    """For every part of a longer phrase, how many texts the most frequent such phrase has."""
    inside: dict[tuple[str, ...], int] = {}
    for phrase in phrases:
        words = phrase.words
        for start, end in combinations(range(len(words) + 1), 2):
            if end - start < len(words):
                part = words[start:end]
                inside[part] = max(inside.get(part, 0), len(phrase.texts))
    return inside


def _repeats(phrase: Phrase, taken: list[str]) -> bool:
    return any(word in taken or _akin(word, taken) for word in phrase.words)


def _akin(word: str, taken: list[str]) -> bool:
    """Whether `word` holds a long one of `taken`, or shares a long stem (persuade, persuasion)."""
    if len(word) < _MIN_STEM:
        return False
    for other in taken:
        if len(other) < _MIN_STEM:
            continue
        stem = max(_MIN_STEM + 1, math.ceil(_SAME_STEM * max(len(word), len(other))))
        if word in other or other in word or word[:stem] == other[:stem]:
            return True
    return False


def _with_surface(corpus: Corpus, phrase: Phrase) -> Phrase:
    """The phrase in the form in which it is written most often; the simpler one of equals."""
    ids = phrase.ids
    span = len(corpus.word_ids) - len(ids) + 1
    here = np.logical_and.reduce(
        [corpus.word_ids[offset : offset + span] == word for offset, word in enumerate(ids)]
    )
    starts = np.flatnonzero(here)
    forms = corpus.form_ids[starts[:, None] + np.arange(len(ids))].tolist()
    joint = "" if all(is_unspaced(word) for word in phrase.words) else " "
    counts = Counter(joint.join(corpus.forms[form] for form in row) for row in forms)
    surface = min(counts, key=lambda form: (-counts[form], sum(map(str.isupper, form)), form))
    return replace(phrase, surface=uninflected(surface))


def _is_weak(word: str) -> bool:
    """Whether a word is too common to be a subject on its own."""
    return word in _COMMON or is_unspaced(word)
