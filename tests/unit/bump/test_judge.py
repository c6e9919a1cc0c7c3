"""Order debiasing: every order is asked in one round, and scores find back to their candidates."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from service.bump.judge import Cost, Direction, Question, Scores, ask

POOL = tuple(f"candidate {number}" for number in range(9))
QUESTION = Question("query", POOL, Direction.FORWARD, group="ana")


class FirstIsBest:
    """A judge that looks at nothing but the place: what debiasing is against."""

    name = "first"

    def __init__(self, *, sees_order: bool = True) -> None:
        self.sees_order = sees_order
        self.rounds: list[list[Question]] = []

    @property
    def cost(self) -> Cost:
        return Cost(calls=sum(map(len, self.rounds)))

    async def score(self, questions: Sequence[Question]) -> list[Scores]:
        self.rounds.append(list(questions))
        return [[float(-place) for place in range(len(q.candidates))] for q in questions]


class ByNumber(FirstIsBest):
    """A judge that knows: the higher a candidate's number, the better."""

    async def score(self, questions: Sequence[Question]) -> list[Scores]:
        await super().score(questions)
        return [[float(candidate.split()[1]) for candidate in q.candidates] for q in questions]


class Forgetful(FirstIsBest):
    async def score(self, questions: Sequence[Question]) -> list[Scores]:
        return [[1.0] for _ in questions]


async def test_scores_come_back_in_the_candidates_own_order() -> None:
    (orders,) = await ask(ByNumber(), [QUESTION], orders=3, seed=1)
    assert orders == [[float(number) for number in range(9)]] * 3


async def test_everything_is_asked_in_one_round() -> None:
    judge = FirstIsBest()
    answers = await ask(judge, [QUESTION] * 5, orders=2, seed=1)
    assert [len(questions) for questions in judge.rounds] == [10]
    assert [len(orders) for orders in answers] == [2] * 5


async def test_the_orders_differ_and_hold_every_candidate() -> None:
    judge = FirstIsBest()
    await ask(judge, [QUESTION], orders=4, seed=1)
    asked = [question.candidates for question in judge.rounds[0]]
    assert len(set(asked)) == 4
    assert all(sorted(candidates) == sorted(POOL) for candidates in asked)


async def test_the_questions_of_a_group_are_asked_in_the_same_orders() -> None:
    judge = FirstIsBest()
    rollouts = [replace(QUESTION, query=f"rollout {number}") for number in range(3)]
    await ask(judge, [*rollouts, replace(QUESTION, group="ben")], orders=2, seed=1)
    asked = [tuple(q.candidates for q in judge.rounds[0][at : at + 2]) for at in (0, 2, 4, 6)]
    assert asked[0] == asked[1] == asked[2] != asked[3]


async def test_a_judge_that_does_not_see_the_order_is_asked_once() -> None:
    judge = FirstIsBest(sees_order=False)
    (orders,) = await ask(judge, [QUESTION], orders=4, seed=1)
    assert len(orders) == len(judge.rounds[0]) == 1


async def test_a_judge_that_leaves_candidates_out_is_an_error() -> None:
    with pytest.raises(ValueError, match="scored 1 of 9"):
        await ask(Forgetful(), [QUESTION], orders=1, seed=1)
