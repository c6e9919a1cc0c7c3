"""Users that are ranked together: who is shown what, and who is a negative for whom."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from service.domain.interaction import Interaction

Vector = Sequence[float]
Choice = Callable[[Sequence[Interaction]], Interaction]


class BatchTooSmall(ValueError):
    """The batch cannot give these `users` the negatives that were asked for."""

    def __init__(self, users: Sequence[str], count: int, found: int) -> None:
        super().__init__(
            f"User {users[0]!r} needs {count} negatives and the batch has {found}: it takes "
            f"more than {count} users whose interactions differ. Add users or lower the negatives."
        )
        self.users = tuple(users)


@dataclass(frozen=True, slots=True)
class Example:
    """One user of a batch: the generator reads `visible`, the judge ranks `held_out`.

    Both are in time order and disjoint; what lies between them, the gap, nobody sees.
    """

    user_id: str
    visible: tuple[Interaction, ...]
    held_out: tuple[Interaction, ...]


@dataclass(frozen=True, slots=True)
class Negatives:
    """What one user is told from, the same for all rollouts of the group.

    `interactions`: a held-out one of each of K distinct other users, for the forward direction.
    `users`: K others whose profiles stand beside the user's own, for the backward direction.
    """

    interactions: tuple[Interaction, ...]
    users: tuple[str, ...]


def split(
    user_id: str,
    history: Sequence[Interaction],
    *,
    held_out: int,
    gap: int = 0,
    min_visible: int = 1,
) -> Example | None:
    """The last `held_out` interactions and the prefix before the `gap`; None if it is too short.

    The gap keeps the newest events, which are often of the same day and topic as the held-out
    ones, from being quoted as a profile.
    """
    end = len(history) - held_out - gap
    if end < min_visible:
        return None
    return Example(user_id, tuple(history[:end]), tuple(history[len(history) - held_out :]))


def draw_negatives(
    examples: Sequence[Example], *, count: int, seed: int, time_matched: bool
) -> dict[str, Negatives]:
    """By user, `count` negatives in each direction, drawn once and the same for the same seed.

    With `time_matched`, the others whose held-out interactions lie nearest in time: random ones
    come from other years, and the era alone tells them apart. False negatives are left out: an
    interaction with the text or item of one of the user's own, and a user whose history holds
    one of the queries. Raises BatchTooSmall, naming everyone for whom the batch has too few others.
    """
    contents = {example.user_id: _contents(example) for example in examples}
    drawn, fewest, lacking = {}, count, []
    for example in examples:
        # A generator of its own for every user: who else is in the batch changes nobody's luck.
        chance = random.Random(f"{seed}:{example.user_id}")
        others = _others(example, examples, chance)
        choose: Choice = chance.choice
        if time_matched:
            choose = partial(_nearest, seconds=_middle(example))
            others.sort(key=partial(_apart, example))
        interactions = tuple(_interactions(example, others, contents, count, choose))
        users = tuple(_users(example, others, contents, count))
        drawn[example.user_id] = Negatives(interactions, users)
        if min(len(interactions), len(users)) < count:
            lacking.append(example.user_id)
            fewest = min(fewest, len(interactions), len(users))
    if lacking:
        raise BatchTooSmall(lacking, count, fewest)
    return drawn


def draw_where_possible(
    examples: Sequence[Example], *, count: int, seed: int, time_matched: bool
) -> dict[str, Negatives]:
    """As `draw_negatives`, without the users whom the batch cannot give enough.

    They are nobody's negatives either. Raises BatchTooSmall when nobody is left.
    """
    left = list(examples)
    while True:
        try:
            return draw_negatives(left, count=count, seed=seed, time_matched=time_matched)
        except BatchTooSmall as error:
            if len(error.users) == len(left):
                raise
            left = [example for example in left if example.user_id not in error.users]


def least_expected(visible: Sequence[Vector], held_out: Sequence[Vector], count: int) -> list[int]:
    """BUMP+, forward: the `count` of `held_out` that are least like the centroid of `visible`.

    Embeddings by cosine; the positions come back in time order, so that ties favour the oldest.
    """
    likeness = _unit(held_out) @ _unit(np.mean(_unit(visible), axis=0, keepdims=True))[0]
    return sorted(np.argsort(likeness, kind="stable")[:count].tolist())


def most_similar(own: Vector, others: Sequence[Vector], count: int) -> list[int]:
    """BUMP+, backward: the `count` of `others` that are most like `own`, the most similar first."""
    likeness = _unit(others) @ _unit([own])[0]
    best: list[int] = np.argsort(-likeness, kind="stable")[:count].tolist()
    return best


def _others(example: Example, examples: Sequence[Example], chance: random.Random) -> list[Example]:
    """Everybody else, in random order that does not depend on the order of `examples`."""
    others = {other.user_id: other for other in examples if other.user_id != example.user_id}
    shuffled = chance.sample(sorted(others), len(others))
    return [others[user_id] for user_id in shuffled]


def _interactions(
    example: Example,
    others: Sequence[Example],
    contents: dict[str, set[str]],
    count: int,
    choose: Choice,
) -> Iterator[Interaction]:
    taken = set(contents[example.user_id])
    found = 0
    for other in others:
        candidates = [i for i in other.held_out if taken.isdisjoint(_content(i))]
        if not candidates:
            continue
        chosen = choose(candidates)
        taken |= _content(chosen)
        yield chosen
        found += 1
        if found == count:
            return


def _users(
    example: Example, others: Sequence[Example], contents: dict[str, set[str]], count: int
) -> list[str]:
    queries = set().union(*(_content(interaction) for interaction in example.held_out))
    strangers = (o.user_id for o in others if queries.isdisjoint(contents[o.user_id]))
    return list(islice(strangers, count))


def _contents(example: Example) -> set[str]:
    return set().union(*(_content(i) for i in (*example.visible, *example.held_out)))


def _content(interaction: Interaction) -> set[str]:
    """What makes two interactions the same to a judge: the text, or the item it is about."""
    content = {"text:" + " ".join(interaction.text.casefold().split())}
    item = interaction.attributes.get("item")
    if isinstance(item, str) and item:
        content.add("item:" + item)
    return content


def _apart(example: Example, other: Example) -> float:
    """Seconds between the held-out interactions of the two."""
    middle = _middle(example)
    return _distance(_nearest(other.held_out, middle), middle)


def _nearest(interactions: Sequence[Interaction], seconds: float) -> Interaction:
    return min(interactions, key=lambda interaction: _distance(interaction, seconds))


def _distance(interaction: Interaction, seconds: float) -> float:
    return abs(interaction.occurred_at.timestamp() - seconds)


def _middle(example: Example) -> float:
    return example.held_out[len(example.held_out) // 2].occurred_at.timestamp()


def _unit(vectors: Sequence[Vector] | NDArray[np.float64]) -> NDArray[np.float64]:
    matrix = np.asarray(vectors, dtype=np.float64)
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    unit: NDArray[np.float64] = matrix / np.where(norms == 0, 1, norms)
    return unit
