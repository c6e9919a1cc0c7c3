"""BM25 over a user's own history, as LaMP retrieves: rank_bm25's Okapi on whitespace tokens."""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import log

import numpy as np
from numpy.typing import NDArray

from service.domain.interaction import Interaction
from service.evaluation.lamp.tasks import Sample, Task

# The defaults of rank_bm25 0.2.2's BM25Okapi.
_K1 = 1.5
_B = 0.75
_EPSILON = 0.25


def retrieve(task: Task, sample: Sample, count: int) -> list[Interaction]:
    """The `count` interactions that BM25 ranks highest for the question, the best first.

    Fewer where the history is shorter. Equal scores stand in the order that numpy's argsort leaves
    them in, as in LaMP's code.
    """
    if not sample.history:
        return []
    query = task.query(sample.input) or ""
    documents = [task.document_of(interaction).split() for interaction in sample.history]
    best = np.argsort(bm25_scores(query.split(), documents))[::-1][:count]
    return [sample.history[place] for place in best]


def bm25_scores(query: Sequence[str], documents: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """Okapi BM25 of every document (N,), as rank_bm25 computes it.

    A word of the query counts as often as it stands there. All are 0 where no document has a word,
    for which rank_bm25 raises ZeroDivisionError.
    """
    scores = np.zeros(len(documents))
    counts = [Counter(document) for document in documents]
    lengths = np.array([len(document) for document in documents])
    if not lengths.any():
        return scores
    rarity = _rarity(counts)
    damping = _K1 * (1 - _B + _B * lengths / (int(lengths.sum()) / len(documents)))
    for word in query:
        if word in rarity:
            found = np.array([count[word] for count in counts])
            scores += rarity[word] * (found * (_K1 + 1) / (found + damping))
    return scores


def _rarity(counts: Sequence[Mapping[str, int]]) -> dict[str, float]:
    """Inverse document frequencies; words of more than half of the documents, whose logarithm is
    negative, get a share of the mean instead."""
    documents_with = Counter(word for count in counts for word in count)
    rarity = {
        word: log(len(counts) - having + 0.5) - log(having + 0.5)
        for word, having in documents_with.items()
    }
    common = _EPSILON * (sum(rarity.values()) / len(rarity))
    return {word: common if value < 0 else value for word, value in rarity.items()}
