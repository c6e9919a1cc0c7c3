"""BUMP rewards over users: own profiles win, empty ones earn chance, strangers' no more."""

from statistics import fmean

import pytest

from service.bump.batch import Example, draw_negatives, split
from service.bump.ranking import chance
from service.evaluation.bidirectional import UserResult, score_profiles
from service.evaluation.metrics import copy_rate
from service.judges.lexical import LexicalJudge
from tests.unit.bump.test_batch import interaction

HOBBIES = [
    *("sourdough", "orchids", "chess", "kayaking", "pottery", "beekeeping", "fencing"),
    *("astronomy", "origami", "sailing", "whittling", "falconry"),
]


def history(hobby: str) -> Example:
    events = [interaction(f"Spent day {n} on {hobby} again", n) for n in range(12)]
    found = split(hobby, events, held_out=4, gap=2)
    assert found
    return found


EXAMPLES = [history(hobby) for hobby in HOBBIES]
NEGATIVES = draw_negatives(EXAMPLES, count=8, seed=7, time_matched=True)
OWN = {hobby: f"Keeps coming back to {hobby}." for hobby in HOBBIES}


async def results(profiles: dict[str, str]) -> list[UserResult]:
    judge = LexicalJudge(i.text for example in EXAMPLES for i in example.visible)
    return await score_profiles(EXAMPLES, NEGATIVES, profiles, judge, orders=2, seed=7)


async def test_profiles_that_tell_users_apart_earn_everything() -> None:
    found = await results(OWN)
    assert [one.user_id for one in found] == HOBBIES
    assert all(one.reward.total == pytest.approx(2) for one in found)
    assert all(one.auc == 1 for one in found)


async def test_empty_profiles_earn_exactly_chance() -> None:
    found = await results(dict.fromkeys(HOBBIES, ""))
    for one in found:
        assert one.reward.total == pytest.approx(chance(12, 4) + chance(9, 1))
        assert (one.auc, one.tokens, one.copy_rate) == (0.5, 0, 0)


async def test_strangers_profiles_earn_less_than_chance() -> None:
    moved = dict(zip(HOBBIES, [OWN[h] for h in (*HOBBIES[1:], HOBBIES[0])], strict=True))
    found = await results(moved)
    assert fmean(one.reward.total for one in found) < chance(12, 4) + chance(9, 1)


async def test_a_profile_that_is_too_long_pays_for_it() -> None:
    plain = (await results(OWN))[0]
    long = (await results(OWN | {HOBBIES[0]: OWN[HOBBIES[0]] * 60}))[0]
    assert long.tokens > 320
    assert long.reward.length == 0.5 > plain.reward.length == 0


def test_the_copy_rate_is_the_share_of_quoted_sequences() -> None:
    seen = ["one two three four five"]
    assert copy_rate("One, two three four!", seen) == 1
    assert copy_rate("zero one two three four", seen) == 0.5
    assert copy_rate("five four three two one", seen) == 0
    assert copy_rate("one two", seen) == 0
