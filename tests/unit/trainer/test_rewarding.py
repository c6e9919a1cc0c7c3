"""The reward of a whole step: one round, shared negatives, and None where the judge failed."""

from collections.abc import Sequence

import pytest

from service.bump.batch import (
    BatchTooSmall,
    Example,
    draw_negatives,
    draw_where_possible,
    split,
)
from service.bump.judge import Question, Scores
from service.bump.ranking import chance
from service.judges.lexical import LexicalJudge
from service.trainer.rewarding import JudgeUnavailable, Rollout, StepRewards, Terms, reward_rollouts
from tests.unit.bump.test_batch import interaction

HOBBIES = ["sourdough", "orchids", "chess", "kayaking", "pottery", "beekeeping"]
CHANCE = chance(6, 2) + chance(5, 1)


def example(hobby: str) -> Example:
    events = [interaction(f"Spent day {n} on {hobby} again", n) for n in range(8)]
    found = split(hobby, events, held_out=2, gap=1)
    assert found
    return found


EXAMPLES = [example(hobby) for hobby in HOBBIES]
NEGATIVES = draw_where_possible(EXAMPLES, count=4, seed=7, time_matched=True)
# Each group: a profile that tells the user apart, and one that says nothing.
ROLLOUTS = [
    Rollout(hobby, text) for hobby in HOBBIES for text in (f"Keeps coming back to {hobby}.", "")
]


class CountingJudge(LexicalJudge):
    """Counts its rounds, and fails where a question holds one of `poison`."""

    def __init__(self, *poison: str) -> None:
        super().__init__(i.text for one in EXAMPLES for i in one.visible)
        self.rounds: list[int] = []
        self._poison = poison

    async def score(self, questions: Sequence[Question]) -> list[Scores]:
        self.rounds.append(len(questions))
        if any(word in question.query for word in self._poison for question in questions):
            raise TimeoutError("no answer")
        return await super().score(questions)


async def rewards(judge: LexicalJudge, terms: Terms | None = None) -> StepRewards:
    return await reward_rollouts(
        EXAMPLES, NEGATIVES, ROLLOUTS, judge, orders=2, seed=1, terms=terms
    )


async def test_a_profile_that_tells_its_user_apart_earns_more_than_one_that_says_nothing() -> None:
    found = await rewards(CountingJudge())
    assert found.totals[::2] == pytest.approx([2.0] * 6)
    # The first rollouts of the others stand against an empty profile, which ties with them.
    assert found.totals[1::2] == pytest.approx([CHANCE] * 6)
    assert found.means()["reward"] == pytest.approx((2.0 + CHANCE) / 2)


async def test_the_whole_step_is_one_round() -> None:
    judge = CountingJudge()
    found = await rewards(judge)
    assert judge.rounds == [len(ROLLOUTS) * 3]
    assert found.questions == len(ROLLOUTS) * 3


async def test_a_user_whom_the_judge_fails_earns_none_and_costs_nobody_else() -> None:
    found = await rewards(CountingJudge("chess"))
    assert [at for at, total in enumerate(found.totals) if total is None] == [4, 5]
    assert found.means()["unjudged"] == 2
    assert found.means()["reward"] == pytest.approx((2.0 + CHANCE) / 2)


async def test_a_judge_that_fails_for_everybody_ends_the_step() -> None:
    with pytest.raises(JudgeUnavailable, match="TimeoutError: no answer"):
        await rewards(CountingJudge(*HOBBIES))


async def test_a_user_without_negatives_earns_none() -> None:
    left = {user: negatives for user, negatives in NEGATIVES.items() if user != "chess"}
    found = await reward_rollouts(EXAMPLES, left, ROLLOUTS, CountingJudge(), orders=1, seed=1)
    assert [at for at, total in enumerate(found.totals) if total is None] == [4, 5]


@pytest.mark.parametrize(
    ("terms", "total"),
    [
        (Terms(backward=False), 1.0),
        (Terms(forward=False), 1.0),
        (Terms(), 2.0),
        (Terms(forward=False, backward=False), 0.0),
    ],
)
async def test_parts_of_the_reward_can_be_left_out_and_are_still_measured(
    terms: Terms, total: float
) -> None:
    found = await rewards(CountingJudge(), terms)
    assert found.totals[0] == pytest.approx(total)
    assert found.rewards[0] is not None
    assert (found.rewards[0].forward, found.rewards[0].backward) == (1, 1)


@pytest.mark.parametrize(("length", "penalty"), [(True, 0.5), (False, 0.0)])
async def test_a_long_profile_pays_by_its_estimated_tokens(length: bool, penalty: float) -> None:
    long = [Rollout(rollout.user_id, rollout.text * 60) for rollout in ROLLOUTS]
    found = await reward_rollouts(
        EXAMPLES,
        NEGATIVES,
        long,
        CountingJudge(),
        orders=1,
        seed=1,
        terms=Terms(length=length),
        target_tokens=100,
    )
    assert found.tokens[0] > 200
    assert found.rewards[0] is not None
    assert found.totals[0] == pytest.approx(
        found.rewards[0].forward + found.rewards[0].backward - penalty
    )


def test_who_cannot_be_told_apart_is_left_out_and_the_others_stay() -> None:
    twin = Example("twin", EXAMPLES[0].visible, EXAMPLES[0].held_out)
    other_twin = Example("other twin", EXAMPLES[0].visible, EXAMPLES[0].held_out)
    batch = [twin, other_twin, *EXAMPLES[1:]]
    drawn = draw_where_possible(batch, count=4, seed=7, time_matched=False)
    assert set(drawn) >= set(HOBBIES[1:])
    with pytest.raises(BatchTooSmall):
        draw_where_possible(batch, count=40, seed=7, time_matched=False)


def test_who_lacks_negatives_is_spared_and_can_still_be_one() -> None:
    twins = [Example(name, EXAMPLES[0].visible, EXAMPLES[0].held_out) for name in ("ana", "ben")]
    drawn = draw_negatives(
        [*twins, *EXAMPLES[1:5]], count=5, seed=7, time_matched=False, spare=True
    )
    assert set(drawn) == set(HOBBIES[1:5])
    assert all({"ana", "ben"} <= set(negatives.users) for negatives in drawn.values())
