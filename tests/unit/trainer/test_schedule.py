"""Which users a step takes: different ones, everybody once an epoch, neighbours in time."""

import pytest

from service.trainer.schedule import users_of_steps
from tests.unit.bump.test_batch import batch

EXAMPLES = batch(20, apart=30)


@pytest.mark.parametrize("time_matched", [False, True])
def test_everybody_comes_in_an_epoch_and_nobody_twice_in_a_step(time_matched: bool) -> None:
    steps = users_of_steps(EXAMPLES, users=6, steps=4, seed=1, time_matched=time_matched)
    assert [len(set(step)) for step in steps] == [6] * 4
    assert {user for step in steps for user in step} == {one.user_id for one in EXAMPLES}


def test_time_matched_users_are_neighbours_in_time() -> None:
    # Three steps of an epoch are stretches of the circle of users by time; the fourth closes it.
    steps = users_of_steps(EXAMPLES, users=5, steps=40, seed=1, time_matched=True)
    around = {tuple(f"u{(start + n) % 20:02}" for n in range(5)) for start in range(20)}
    assert set(steps) <= around
    assert len(set(steps)) > 10


def test_the_same_seed_gives_the_same_steps_and_more_of_them_change_none() -> None:
    few, many, other = (
        users_of_steps(EXAMPLES, users=6, steps=steps, seed=seed, time_matched=True)
        for steps, seed in ((5, 1), (30, 1), (5, 2))
    )
    assert few == many[:5] != other


def test_too_few_users_are_an_error() -> None:
    with pytest.raises(ValueError, match="takes 21 users, and there are 20"):
        users_of_steps(EXAMPLES, users=21, steps=1, seed=1, time_matched=True)
