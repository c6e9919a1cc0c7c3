"""What a judge is: a frozen ranker. A query and candidates go in, a score each comes out."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

# Scores of one question, by candidate; higher is better.
Scores = Sequence[float]


class Direction(StrEnum):
    """Forward: a profile ranks interactions. Backward: an interaction ranks profiles."""

    FORWARD = "forward"
    BACKWARD = "backward"


@dataclass(frozen=True, slots=True)
class Question:
    """Which of `candidates` belong to `query`? Which ones do is not for the judge to see.

    The `direction` says which side holds profiles. `group` names the questions that are compared
    with one another, as a user's rollouts are.
    """

    query: str
    candidates: tuple[str, ...]
    direction: Direction
    group: str


@dataclass(frozen=True, slots=True)
class Cost:
    """What a judge has done since it was made.

    `calls`: requests to an endpoint, or questions where the judge runs in this process.
    `tokens`: what its model has read and written; 0 without a model.
    """

    calls: int = 0
    tokens: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.calls + other.calls, self.tokens + other.tokens)


class JudgeFailed(Exception):
    """The judge has no answer. That is not a score of 0."""


class Judge(Protocol):
    """Raises JudgeFailed where it has no answer; it never answers with zeros instead."""

    @property
    def name(self) -> str: ...

    @property
    def sees_order(self) -> bool:
        """Whether its answer may depend on the order of the candidates, as a listwise LLM's."""
        ...

    @property
    def cost(self) -> Cost: ...

    async def score(self, questions: Sequence[Question]) -> list[Scores]:
        """The scores of every question, asked in one round."""
        ...

    async def close(self) -> None:
        """Let go of what the judge holds; it is asked nothing more."""
        ...


async def ask(
    judge: Judge, questions: Sequence[Question], *, orders: int, seed: int
) -> list[list[Scores]]:
    """For each question, the scores of every order in which it was asked (order debiasing).

    A judge that sees the order is asked over `orders` shuffles, independent of one another; the
    questions of a group share them, so that its rollouts differ in nothing else. Any other judge
    is asked once. All questions go out in one round. Scores come back in the candidates' own
    order. Raises what the judge raises, and ValueError when it leaves a candidate out.
    """
    asked = [
        (position, order)
        for position, question in enumerate(questions)
        for order in _shuffles(question, orders if judge.sees_order else 1, seed)
    ]
    answers = await judge.score(
        [_shuffled(questions[position], order) for position, order in asked]
    )
    found: list[list[Scores]] = [[] for _ in questions]
    for (position, order), scores in zip(asked, answers, strict=True):
        found[position].append(_restored(scores, order))
    return found


def _shuffles(question: Question, orders: int, seed: int) -> list[list[int]]:
    size = len(question.candidates)
    chance = random.Random(f"{seed}:{question.group}:{size}")
    return [chance.sample(range(size), size) for _ in range(orders)]


def _shuffled(question: Question, order: Sequence[int]) -> Question:
    return replace(question, candidates=tuple(question.candidates[place] for place in order))


def _restored(scores: Scores, order: Sequence[int]) -> Scores:
    if len(scores) != len(order):
        raise ValueError(f"The judge scored {len(scores)} of {len(order)} candidates.")
    restored = [0.0] * len(order)
    for position, score in zip(order, scores, strict=True):
        restored[position] = score
    return restored
