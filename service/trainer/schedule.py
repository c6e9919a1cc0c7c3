"""Which users each training step takes."""

import random
from collections.abc import Sequence

from service.bump.batch import Example


def users_of_steps(
    examples: Sequence[Example], *, users: int, steps: int, seed: int, time_matched: bool
) -> list[tuple[str, ...]]:
    """The ids of `users` different users for each of `steps`; everybody comes once an epoch.

    The users of a step are one another's negatives. With `time_matched` they are neighbours in
    time, as far as there are any: their era does not tell them apart. The cuts between the
    neighbourhoods move from epoch to epoch. The same seed gives the same steps. Raises ValueError
    for fewer than `users` examples.
    """
    if len(examples) < users:
        raise ValueError(f"A step takes {users} users, and there are {len(examples)}.")
    chance = random.Random(seed)
    by_time = sorted(
        examples, key=lambda example: (example.held_out[0].occurred_at, example.user_id)
    )
    ids = [example.user_id for example in by_time]
    found: list[tuple[str, ...]] = []
    while len(found) < steps:
        if not time_matched:
            chance.shuffle(ids)
        found += _epoch(ids, users, chance)
    return found[:steps]


def _epoch(ids: Sequence[str], users: int, chance: random.Random) -> list[tuple[str, ...]]:
    start = chance.randrange(len(ids))
    circle = [*ids[start:], *ids[:start]]
    # The last step of an epoch is filled up from where the circle began.
    groups = [tuple((circle[at:] + circle)[:users]) for at in range(0, len(circle), users)]
    return chance.sample(groups, len(groups))
