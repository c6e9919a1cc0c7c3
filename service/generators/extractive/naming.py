"""Whether words name a person: then they are not repeated."""

from service.generators.extractive.wording import is_conversation
from service.generators.population import Population
from service.generators.reading.corpus import fold, word_hashes
from service.generators.reading.vocabulary import COMMON, GIVEN_NAMES, STOPWORDS

# A word that more users than these use is no name of one of them.
MAX_USERS_OF_A_NAME = 3


def names_somebody(words: str, kind: str, population: Population) -> bool:
    """Whether a quote may hold a name: a given name, or whoever a message begins by addressing."""
    first, *rest = [fold(word) for word in words.strip('"').split()] or [""]
    if GIVEN_NAMES.intersection((first, *rest)):
        return True
    if not is_conversation([kind]) or first in STOPWORDS | COMMON:
        return False
    _, users = population.word_rates(word_hashes([first]))
    return bool(users[0] <= MAX_USERS_OF_A_NAME)
