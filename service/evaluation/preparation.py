"""Histories → users that can be asked about, with what they are told from."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.bump.batch import BatchTooSmall, Example, Negatives, draw_negatives, split
from service.bump.setting import Setting
from service.domain.interaction import Interaction, history_order
from service.generators.population import Population

Histories = Mapping[str, Sequence[Interaction]]


class HistoriesTooShort(ValueError):
    """No history is long enough for what is to be held out and read."""

    def __init__(self, users: int, setting: Setting) -> None:
        needed = setting.min_visible + setting.gap + setting.held_out
        super().__init__(
            f"None of {users} users has the {needed} interactions with text that this takes "
            f"({setting.min_visible} to read, a gap of {setting.gap}, {setting.held_out} held "
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


def prepare(histories: Histories, setting: Setting, *, seed: int) -> Batch:
    """Split every history and draw the negatives; who cannot be asked about is counted.

    Interactions without text are left out: a judge has nothing to rank. The same input and seed
    give the same batch, in the order of user ids. Raises HistoriesTooShort or BatchTooSmall when
    nobody is left.
    """
    skipped: Counter[str] = Counter()
    examples = []
    for user_id in sorted(histories):
        example = _split(user_id, histories[user_id], setting)
        if example is None:
            skipped["history too short"] += 1
        else:
            examples.append(example)
    negatives: dict[str, Negatives] = {}
    while examples and not negatives:
        try:
            negatives = draw_negatives(
                examples, count=setting.negatives, seed=seed, time_matched=setting.time_matched
            )
        except BatchTooSmall as error:
            if len(error.users) == len(examples):
                raise
            lacking = set(error.users)
            examples = [example for example in examples if example.user_id not in lacking]
            skipped["too few others with different interactions"] += len(lacking)
    if not examples:
        raise HistoriesTooShort(len(histories), setting)
    return Batch(tuple(examples), negatives, _population(examples), dict(skipped))


def _split(user_id: str, history: Sequence[Interaction], setting: Setting) -> Example | None:
    told = sorted((i for i in history if i.text.strip()), key=history_order)
    return split(
        user_id,
        told,
        held_out=setting.held_out,
        gap=setting.gap,
        min_visible=setting.min_visible,
    )


def _population(examples: Sequence[Example]) -> Population:
    population = Population.empty()
    for example in examples:
        population.observe([], example.visible)
    return population
