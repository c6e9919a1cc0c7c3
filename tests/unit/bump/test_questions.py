"""What a judge is asked about a profile, and what its answers are worth."""

import pytest

from service.bump.batch import Example, Negatives
from service.bump.judge import Direction
from service.bump.questions import own_above_stranger, profile_questions, profile_reward
from service.bump.ranking import chance, gain
from tests.unit.bump.test_batch import interaction

ANA = Example("ana", (interaction("v"),), (interaction("next 1"), interaction("next 2")))
NEGATIVES = Negatives((interaction("other 1"), interaction("other 2")), ("ben", "cem"))
FORWARD, *BACKWARD = profile_questions(ANA, NEGATIVES, "ana's", ["ben's", "cem's"])


def test_forward_asks_the_profile_for_its_users_next_interactions() -> None:
    assert (FORWARD.direction, FORWARD.query) == (Direction.FORWARD, "ana's")
    assert FORWARD.candidates == ("next 1", "next 2", "other 1", "other 2")


def test_backward_asks_each_of_them_for_the_profile() -> None:
    assert {question.direction for question in BACKWARD} == {Direction.BACKWARD}
    assert [question.query for question in BACKWARD] == ["next 1", "next 2"]
    assert {question.candidates for question in BACKWARD} == {("ana's", "ben's", "cem's")}


def test_all_questions_about_a_user_belong_together() -> None:
    assert {question.group for question in (FORWARD, *BACKWARD)} == {"ana"}


def test_the_reward_puts_both_directions_and_the_length_together() -> None:
    answers = [[[4, 3, 2, 1]], [[2, 3, 1]], [[3, 2, 1]]]
    reward = profile_reward(answers, held_out=2, tokens=240)
    assert reward.forward == pytest.approx(1)
    assert reward.backward == pytest.approx((gain(2) + 1) / 2)
    assert reward.length == pytest.approx(0.125)


def test_answers_that_say_nothing_earn_chance_and_an_auc_of_a_half() -> None:
    answers = [[[0.0] * 12], *[[[0.0] * 9]] * 4]
    reward = profile_reward(answers, held_out=4, tokens=0)
    assert reward.total == pytest.approx(chance(12, 4) + chance(9, 1))
    assert own_above_stranger(answers) == 0.5


def test_the_auc_counts_strangers_below_and_half_of_the_ties() -> None:
    assert own_above_stranger([[], [[2, 1, 3, 2, 0]]]) == pytest.approx((1 + 0 + 0.5 + 1) / 4)


def test_the_auc_adds_up_over_all_held_out_interactions() -> None:
    answers = [[], [[2, 3]], [[2, 0]]]
    assert own_above_stranger(answers) == 1
