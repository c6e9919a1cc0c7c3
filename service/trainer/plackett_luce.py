"""Profiles drawn from the extractive policy, and the gradient of how likely each was.

A profile is drawn candidate by candidate, each with probability softmax(score / temperature) among
those that still fit: a Plackett-Luce ranking, cut at the token budget.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.generators.extractive.policy import Floats, Pool, State, features


@dataclass(frozen=True, slots=True)
class Drawn:
    """G profiles of one user.

    `chosen`: candidates in the order they were drawn. `score_function` (G, H, F): the gradient of
    each profile's log probability by the weights. `entropy`: mean over draws of the entropy, as a
    share of the highest possible; `entropy_gradient` (H, F) is the gradient of the mean entropy.
    """

    chosen: tuple[tuple[int, ...], ...]
    score_function: NDArray[np.float64]
    entropy: float
    entropy_gradient: NDArray[np.float64]


def draw(
    pool: Pool,
    weights: Floats,
    max_tokens: int,
    *,
    profiles: int,
    temperature: float,
    rng: np.random.Generator,
) -> Drawn:
    """Draw G = `profiles` profiles of at most `max_tokens` from the policy with `weights` (H, F).

    The policy serves its best profile, not a drawn one: at a low `temperature` the drawn ones are
    near it, and what makes them better makes it better.
    """
    state = State.empty(pool, profiles, max_tokens)
    effective = pool.context @ weights / temperature
    chosen: list[list[int]] = [[] for _ in range(profiles)]
    towards = np.zeros((profiles, len(effective)))
    entropy_gradient = np.zeros(len(effective))
    entropies: list[float] = []
    while True:
        allowed = state.allowed(pool)
        going = np.flatnonzero(allowed.any(axis=1))
        if not len(going):
            break
        seen = features(pool, state)[going]
        odds = _odds(seen @ effective, allowed[going])
        picked = _picked(odds, rng)
        towards[going] += seen[np.arange(len(going)), picked] - np.einsum("gc,gcf->gf", odds, seen)
        entropy, gradient = _entropy(odds, seen)
        entropies += (entropy / np.log(np.maximum(allowed[going].sum(axis=1), 2))).tolist()
        entropy_gradient += gradient
        for profile, candidate in zip(going.tolist(), picked.tolist(), strict=True):
            chosen[profile].append(candidate)
        state.take(pool, going, picked)
    draws = max(1, len(entropies))
    return Drawn(
        chosen=tuple(map(tuple, chosen)),
        score_function=pool.context[None, :, None] * towards[:, None, :] / temperature,
        entropy=sum(entropies) / draws,
        entropy_gradient=np.outer(pool.context, entropy_gradient / draws / temperature),
    )


def _odds(scores: Floats, allowed: NDArray[np.bool_]) -> Floats:
    masked = np.where(allowed, scores, -np.inf)
    odds = np.exp(masked - masked.max(axis=1, keepdims=True))
    found: Floats = odds / odds.sum(axis=1, keepdims=True)
    return found


def _picked(odds: Floats, rng: np.random.Generator) -> NDArray[np.int64]:
    """One candidate (G,) of each row of `odds`."""
    reached = odds.cumsum(axis=1)
    # In single precision the sum may fall short of 1, and a draw beyond it would pick anything.
    drawn = rng.random((len(odds), 1)) * reached[:, -1:]
    picked: NDArray[np.int64] = (reached > drawn).argmax(axis=1)
    return picked


def _entropy(odds: Floats, seen: Floats) -> tuple[Floats, NDArray[np.float64]]:
    """The entropy (G,) of each draw, and the gradient (F,) of their sum by the scores' weights."""
    logs = np.log(np.maximum(odds, 1e-12))
    entropy = -(odds * logs).sum(axis=1)
    by_score = -odds * (logs + entropy[:, None])
    return entropy, np.einsum("gc,gcf->f", by_score, seen).astype(np.float64)
