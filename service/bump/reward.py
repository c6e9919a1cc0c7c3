"""The reward of a profile: forward + backward - length penalty, each part shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

from service.bump.judge import Scores
from service.bump.ranking import ndcg

TARGET_TOKENS = 160
LENGTH_WEIGHT = 0.5


@dataclass(frozen=True, slots=True)
class Reward:
    """`forward` and `backward` from 0 to 1, `length` from 0 to its weight."""

    forward: float
    backward: float
    length: float

    @property
    def total(self) -> float:
        return self.forward + self.backward - self.length


def forward_reward(orders: Sequence[Scores], held_out: int) -> float:
    """Does the profile pick out its user's next interactions? The first `held_out` are theirs.

    `orders` holds the scores of the same pool in every order in which the judge was asked: their
    NDCGs are averaged, not their ranks.
    """
    return fmean(ndcg(scores, range(held_out)) for scores in orders)


def backward_reward(queries: Sequence[Sequence[Scores]]) -> float:
    """Do the next interactions pick out the profile? The first candidate of each query is it.

    `queries` holds the scores of each held-out interaction, in every order it was asked.
    """
    return fmean(ndcg(scores, [0]) for orders in queries for scores in orders)


def length_penalty(
    tokens: int, *, target: int = TARGET_TOKENS, weight: float = LENGTH_WEIGHT
) -> float:
    """weight · min(1, max(0, (tokens - target) / target)²): nothing up to `target` tokens."""
    over = max(0.0, (tokens - target) / target)
    return weight * min(1.0, over**2)


def advantages(rewards: Sequence[float], *, epsilon: float = 1e-4) -> list[float] | None:
    """How much better than its group each rollout did: (R - mean) / (std + ε).

    None for a group whose rewards are all alike: it has nothing to teach.
    """
    spread = pstdev(rewards)
    if spread < 1e-9:
        return None
    mean = fmean(rewards)
    return [(reward - mean) / (spread + epsilon) for reward in rewards]
