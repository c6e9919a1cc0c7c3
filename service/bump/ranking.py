"""How well a ranking puts the right candidates first: NDCG with binary relevance."""

from collections.abc import Collection, Sequence
from itertools import groupby
from math import isfinite, log2


def gain(rank: int) -> float:
    """What the right candidate earns at `rank` (1 is the first): 1, .631, .5, .431, …"""
    return 1 / log2(rank + 1)


def ndcg(scores: Sequence[float], relevant: Collection[int]) -> float:
    """From 0 to 1: the gain of the `relevant` positions of `scores` against the best possible.

    Higher scores rank first. Candidates with equal scores share the mean gain of the ranks they
    take together, so a judge that says nothing earns `chance`. Raises ValueError for a score that
    is not finite, and unless at least one candidate is relevant and at least one is not.
    """
    if not all(map(isfinite, scores)):
        raise ValueError("A judge's scores must be finite numbers.")
    _check_pool(len(scores), len(relevant))
    gains = _gains(scores)
    return sum(gains[position] for position in relevant) / _best(len(relevant))


def chance(candidates: int, relevant: int) -> float:
    """The NDCG that a random order earns on average: .4727 for 1 of 9, .663 for 4 of 12.

    Raises ValueError as `ndcg` does.
    """
    _check_pool(candidates, relevant)
    mean_gain = sum(gain(rank) for rank in range(1, candidates + 1)) / candidates
    return relevant * mean_gain / _best(relevant)


def scores_of_order(order: Sequence[int]) -> list[float]:
    """The scores of an order of candidates, the best first: what a listwise judge answers.

    Raises ValueError when `order` is not a permutation of 0 … n - 1.
    """
    if sorted(order) != list(range(len(order))):
        raise ValueError(f"{list(order)} is no order of {len(order)} candidates.")
    scores = [0.0] * len(order)
    for place, candidate in enumerate(order):
        scores[candidate] = float(len(order) - place)
    return scores


def _gains(scores: Sequence[float]) -> list[float]:
    gains = [0.0] * len(scores)
    best_first = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)
    rank = 1
    for _, tie in groupby(best_first, key=scores.__getitem__):
        tied = list(tie)
        shared = sum(gain(rank + place) for place in range(len(tied))) / len(tied)
        for position in tied:
            gains[position] = shared
        rank += len(tied)
    return gains


def _best(relevant: int) -> float:
    return sum(gain(rank) for rank in range(1, relevant + 1))


def _check_pool(candidates: int, relevant: int) -> None:
    if not 0 < relevant < candidates:
        raise ValueError(f"{relevant} of {candidates} candidates relevant: there is no choice.")
