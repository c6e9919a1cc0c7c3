"""Histories → users that can be asked about, with what they are told from."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from service.bump.batch import (
    Example,
    Negatives,
    Vector,
    Vectors,
    centroid,
    draw_where_possible,
    least_expected,
    split,
)
from service.bump.setting import Setting
from service.domain.interaction import Interaction, history_order
from service.generators.population import Population

Histories = Mapping[str, Sequence[Interaction]]
# N texts as vectors (N, D).
Embed = Callable[[Sequence[str]], Vectors]

# BUMP+ picks the held-out interactions among so many times as many of the newest.
_HARD_WINDOW = 2
# Encoding is nearly all that BUMP+ costs, and more interactions hardly move a centroid.
_CENTROID_OF = 32


class HistoriesTooShort(ValueError):
    """No history is long enough for what is to be held out and read."""

    def __init__(self, users: int, setting: Setting, window: int) -> None:
        needed = setting.min_visible + setting.gap + window
        super().__init__(
            f"None of {users} users has the {needed} interactions with text that this takes "
            f"({setting.min_visible} to read, a gap of {setting.gap}, {window} held "
            "out): bring longer histories, or hold out less."
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """Users that are ranked together.

    `negatives` by user id, for every one of `examples`. `population` is fitted on the visible
    prefixes only. `skipped` says why users were left out, and how many.
    """

    examples: tuple[Example, ...]
    negatives: Mapping[str, Negatives]
    population: Population
    skipped: Mapping[str, int]

    def visible_texts(self) -> list[str]:
        """What a judge may learn its word statistics from: nothing that it will rank."""
        return [i.text for example in self.examples for i in example.visible]


def prepare(
    histories: Histories, setting: Setting, *, seed: int, embed: Embed | None = None
) -> Batch:
    """Split every history and draw the negatives; who cannot be asked about is counted.

    Interactions without text are left out: a judge has nothing to rank. The same input and seed
    give the same batch, in the order of user ids. `embed` serves BUMP+ only. Raises
    HistoriesTooShort or BatchTooSmall when nobody is left, and ValueError when the setting is hard
    and there is no `embed`.
    """
    window = setting.held_out * (_HARD_WINDOW if setting.hard else 1)
    found = (_split(user_id, histories[user_id], setting, window) for user_id in sorted(histories))
    examples = [example for example in found if example is not None]
    skipped = Counter({"history too short": len(histories) - len(examples)})
    if not examples:
        raise HistoriesTooShort(len(histories), setting, window)
    centroids = None
    if setting.hard:
        if embed is None:
            raise ValueError("BUMP+ picks by embeddings: pass `embed`.")
        examples, centroids = _hardest(examples, setting.held_out, embed)
    negatives = draw_where_possible(
        examples,
        count=setting.negatives,
        seed=seed,
        time_matched=setting.time_matched,
        centroids=centroids,
    )
    told_apart = [example for example in examples if example.user_id in negatives]
    skipped["too few others with different interactions"] = len(examples) - len(told_apart)
    return Batch(tuple(told_apart), negatives, _population(told_apart), dict(+skipped))


def _split(
    user_id: str, history: Sequence[Interaction], setting: Setting, window: int
) -> Example | None:
    told = sorted((i for i in history if i.text.strip()), key=history_order)
    return split(user_id, told, held_out=window, gap=setting.gap, min_visible=setting.min_visible)


def _hardest(
    examples: Sequence[Example], held_out: int, embed: Embed
) -> tuple[list[Example], dict[str, Vector]]:
    """The examples with the least expected of their window held out, and everyone's centroid."""
    read = [_spread(example.visible, _CENTROID_OF) for example in examples]
    texts = [
        [i.text for i in (*some, *example.held_out)]
        for some, example in zip(read, examples, strict=True)
    ]
    ends = np.cumsum([len(own) for own in texts])
    # All in one call: an encoder is fastest with texts of like length together.
    vectors = np.split(np.asarray(embed([text for own in texts for text in own])), ends[:-1])
    picked: list[Example] = []
    centroids: dict[str, Vector] = {}
    for example, own in zip(examples, vectors, strict=True):
        visible, window = np.split(own, [-len(example.held_out)])
        chosen = [example.held_out[place] for place in least_expected(visible, window, held_out)]
        picked.append(replace(example, held_out=tuple(chosen)))
        centroids[example.user_id] = centroid(visible)
    return picked, centroids


def _spread(history: Sequence[Interaction], count: int) -> list[Interaction]:
    """At most `count`, evenly from the first to the last."""
    places = np.linspace(0, len(history) - 1, min(count, len(history))).astype(int)
    return [history[place] for place in places]


def _population(examples: Sequence[Example]) -> Population:
    population = Population.empty()
    for example in examples:
        population.observe([], example.visible)
    return population
