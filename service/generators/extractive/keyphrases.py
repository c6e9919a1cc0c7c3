"""Words and pairs of words that tell a user from others: many in few tokens, at two time scales."""

from collections.abc import Collection, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from service.domain.interaction import Interaction
from service.generators.extractive.candidate import Candidate, Family, make_candidate
from service.generators.extractive.naming import MAX_USERS_OF_A_NAME, people
from service.generators.extractive.nouns import addressees, wordlike
from service.generators.extractive.themes import FULL_LOG_LIFT
from service.generators.extractive.wording import is_conversation
from service.generators.population import Population
from service.generators.reading.corpus import Corpus, pair_hashes

# Offered at several sizes; a profile tells a word once.
_SIZES = (5, 10)
_MAX_TERMS = 50
_POOL = 200
# The weight of an interaction falls to 1/e over so many newer ones.
_LATELY = 20.0

Floats = NDArray[np.float64]
Term = tuple[int, ...]


def keyphrase_candidates(
    history: Sequence[Interaction],
    corpus: Corpus,
    population: Population,
    told: Collection[str] = (),
) -> list[Candidate]:
    """`told`: folded words that other candidates speak of; a term holds more than those."""
    if not len(corpus.words):
        return []
    allowed = _allowed(history, corpus, population)
    lifts = _log_lifts(corpus, population)
    telling = np.fromiter((word not in told for word in corpus.words), np.bool_)
    if population.interactions:
        telling &= lifts > 0
    age = np.arange(corpus.size)[::-1]
    scales = (
        (Family.MENTION, "", np.ones(corpus.size)),
        (Family.LATELY, "Lately: ", np.exp(-age / _LATELY)),
    )
    return [
        candidate
        for family, opening, weights in scales
        for terms in [_telling_terms(corpus, population, allowed, telling, weights)]
        for candidate in _lists(family, opening, terms, history, corpus, lifts)
    ]


def _lists(
    family: Family,
    opening: str,
    terms: Sequence[Term],
    history: Sequence[Interaction],
    corpus: Corpus,
    lifts: Floats,
) -> Iterator[Candidate]:
    surfaces = [" ".join(_surface(corpus, word) for word in term) for term in terms]
    for size in _SIZES:
        for rank, start in enumerate(range(0, len(terms), size)):
            words = [word for term in terms[start : start + size] for word in term]
            texts = np.unique(corpus.texts[np.isin(corpus.word_ids, words)])
            yield make_candidate(
                family,
                f"{family} {size} {rank}",
                opening + ", ".join(surfaces[start : start + size]),
                history,
                texts.tolist(),
                distinctiveness=float(lifts[words].mean()) / FULL_LOG_LIFT,
                rank=rank,
                claims=[corpus.words[word] for word in words],
            )


def _log_lifts(corpus: Corpus, population: Population) -> Floats:
    """For each word (V,), how much more often this history has it than others do."""
    found = corpus.word_ids >= 0
    ones = np.ones(corpus.size)
    rates = _counts(corpus.word_ids[found], corpus.texts[found], ones, len(corpus.words))
    everywhere, _ = population.word_rates(corpus.hashes)
    usual = (everywhere + 1.0) / (population.interactions + 1)
    lifts: Floats = np.log(np.maximum(rates / corpus.size / usual, 1.0))
    return lifts


def _allowed(
    history: Sequence[Interaction], corpus: Corpus, population: Population
) -> NDArray[np.bool_]:
    """Words (V,) that may be told: no scraps, no people, nor names of those spoken to."""
    allowed = corpus.content & wordlike(corpus) & ~people(corpus)
    if not is_conversation([interaction.type for interaction in history]):
        return allowed
    _, users = population.word_rates(corpus.hashes)
    return allowed & ~(addressees(corpus) & (users <= MAX_USERS_OF_A_NAME))


def _telling_terms(
    corpus: Corpus,
    population: Population,
    allowed: NDArray[np.bool_],
    telling: NDArray[np.bool_],
    weights: Floats,
) -> list[Term]:
    """By TF-IDF against the population, the strongest first; no two share a word.

    All words of a term are `allowed` (V,), and one at least is `telling` (V,).
    """
    terms = [
        *_words(corpus, population, allowed & telling, weights),
        *_pairs(corpus, population, allowed, weights),
    ]
    terms.sort(key=lambda term: (-term[0], term[1]))
    kept: list[Term] = []
    taken: set[int] = set()
    for _, term in terms:
        if taken.isdisjoint(term) and telling[list(term)].any():
            kept.append(term)
            taken.update(term)
        if len(kept) == _MAX_TERMS:
            break
    return kept


def _words(
    corpus: Corpus, population: Population, allowed: NDArray[np.bool_], weights: Floats
) -> list[tuple[float, Term]]:
    found = corpus.word_ids >= 0
    counts = _counts(corpus.word_ids[found], corpus.texts[found], weights, len(corpus.words))
    _, users = population.word_rates(corpus.hashes)
    worth = np.where(allowed, counts * _rarity(users, population), 0.0)
    best = np.argsort(-worth, kind="stable")[:_POOL].tolist()
    return [(float(worth[word]), (word,)) for word in best if worth[word] > 0]


def _pairs(
    corpus: Corpus, population: Population, allowed: NDArray[np.bool_], weights: Floats
) -> list[tuple[float, Term]]:
    starts = corpus.pairs()
    first, second = corpus.word_ids[starts], corpus.word_ids[starts + 1]
    solid = allowed[first] & allowed[second]
    size = len(corpus.words)
    keys, pairs = np.unique(first[solid] * size + second[solid], return_inverse=True)
    counts = _counts(pairs, corpus.texts[starts[solid]], weights, len(keys))
    words = np.stack([keys // size, keys % size], axis=1)
    hashes = pair_hashes(corpus.hashes[words[:, 0]], corpus.hashes[words[:, 1]])
    users = population.phrase_users(hashes)
    worth = counts * _rarity(users, population)
    best = np.argsort(-worth, kind="stable")[:_POOL].tolist()
    return [(float(worth[pair]), tuple(words[pair].tolist())) for pair in best]


def _rarity(users: NDArray[np.uint32], population: Population) -> Floats:
    rarity: Floats = np.log((population.users + 2) / (users + 1.0))
    return np.maximum(rarity, 0.0)


def _counts(
    features: NDArray[np.int64], texts: NDArray[np.int64], weights: Floats, size: int
) -> Floats:
    """In how many texts, by their weights, each of `size` features occurs."""
    uses = np.unique(features * len(weights) + texts)
    found: Floats = np.zeros(size)
    np.add.at(found, uses // len(weights), weights[uses % len(weights)])
    return found


def _surface(corpus: Corpus, word: int) -> str:
    """The word as it is written most often; without a mere capital, which would cost tokens."""
    forms = corpus.form_ids[corpus.word_ids == word]
    form = corpus.forms[int(np.bincount(forms).argmax())]
    return form.lower() if form.istitle() else form
