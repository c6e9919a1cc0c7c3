"""Whether words name a person: then they are not repeated."""

import numpy as np
from numpy.typing import NDArray

from service.generators.extractive.wording import is_conversation
from service.generators.population import Population
from service.generators.reading.corpus import Corpus, read_texts, word_hashes
from service.generators.reading.vocabulary import COMMON, GIVEN_NAMES, STOPWORDS

# A word that more users than these use is no name of one of them.
MAX_USERS_OF_A_NAME = 3


def names_somebody(words: str, kind: str, population: Population) -> bool:
    """Whether a quote may hold a name: a given name, or whoever a message begins by addressing."""
    told = read_texts([words]).words
    if not GIVEN_NAMES.isdisjoint(told):
        return True
    if not told or not is_conversation([kind]) or told[0] in STOPWORDS | COMMON:
        return False
    _, users = population.word_rates(word_hashes(told[:1]))
    return bool(users[0] <= MAX_USERS_OF_A_NAME)


def people(corpus: Corpus) -> NDArray[np.bool_]:
    """Words (V,) that are given names or, never without a capital, come right after one."""
    size = len(corpus.words)
    given = np.fromiter((word in GIVEN_NAMES for word in corpus.words), np.bool_, size)
    capital = np.fromiter((form[:1].isupper() for form in corpus.forms), np.bool_)
    small = np.zeros(size + 1, np.bool_)
    small[corpus.word_ids[~capital[corpus.form_ids]]] = True
    after_given = np.zeros(size + 1, np.bool_)
    after_given[corpus.word_ids[1:][np.append(given, False)[corpus.word_ids[:-1]]]] = True
    return given | (after_given & ~small)[:-1]
