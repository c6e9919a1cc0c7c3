"""How much of a history each statement speaks for, by the words that they share."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.generators.population import Population
from service.generators.reading.corpus import Corpus, read_texts

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Reach:
    """`interactions` (C, n): how like each of C statements is to each of n interactions.

    `statements` (C, C): how like they are to one another. Cosines of words weighed by how rare
    they are in the population, from 0 to 1. `rarity` (C,): mean rarity of a statement's words.
    """

    interactions: Floats
    statements: Floats
    rarity: Floats


def reach_of(statements: Sequence[str], corpus: Corpus, population: Population) -> Reach:
    """The reach of `statements` over the texts of `corpus`.

    A word that only one interaction has says nothing of the next ones, so it reaches nothing.
    """
    told = read_texts(statements)
    rarity = _rarity(corpus, population)
    uses = _uses(corpus, len(corpus.words))
    counts = uses.sum(axis=0)
    recurring = (counts - 1) / np.maximum(counts, 1)
    interactions = _unit(uses * rarity) * recurring
    places = _places(told, corpus)
    said = _uses(told, len(told.words))
    known = said[:, places >= 0]
    ours = np.zeros((len(statements), len(corpus.words)), np.float32)
    ours[:, places[places >= 0]] = known
    weighed = ours * rarity
    lengths = np.maximum(ours.sum(axis=1), 1)
    unit = _unit(weighed)
    return Reach(
        interactions=unit @ interactions.T,
        statements=unit @ unit.T,
        rarity=weighed.sum(axis=1) / lengths / _highest(population),
    )


def _uses(corpus: Corpus, words: int) -> Floats:
    """Which text has which content word, (D, V) of 0 and 1."""
    found = corpus.word_ids >= 0
    uses = np.zeros((corpus.size, words), np.float32)
    uses[corpus.texts[found], corpus.word_ids[found]] = 1
    uses[:, ~corpus.content] = 0
    return uses


def _rarity(corpus: Corpus, population: Population) -> Floats:
    everywhere, _ = population.word_rates(corpus.hashes)
    rates: Floats = np.log((population.interactions + 1) / (everywhere + 1.0) + 1).astype(
        np.float32
    )
    return rates


def _highest(population: Population) -> float:
    return float(np.log(population.interactions + 2))


def _places(told: Corpus, corpus: Corpus) -> NDArray[np.int64]:
    """For every word of `told` its number in `corpus`, -1 where it is not there."""
    numbers = {word: number for number, word in enumerate(corpus.words)}
    return np.array([numbers.get(word, -1) for word in told.words], np.int64)


def _unit(rows: Floats) -> Floats:
    unit: Floats = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return unit
