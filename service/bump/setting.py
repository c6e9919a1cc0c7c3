"""What is asked of a profile: how much is held out, who the others are, what nobody sees."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Setting:
    """The defaults are the primary setting of every report and of training.

    `held_out` (P): interactions that a profile must pick out. `negatives` (K): others beside them.
    `gap`: interactions before the held-out ones that nobody sees; the newest are often of the same
    day and topic, and quoting them would pass for knowing the user. `time_matched`: negatives of
    the same time, for the era alone tells random ones apart. `hard` (BUMP+): the least expected
    held-out interactions, and the most similar users. `orders` (M): shuffles for a judge that sees
    the order. `min_visible`: interactions that a generator must have to read. Raises ValueError
    for numbers that leave nothing to ask.
    """

    held_out: int = 4
    negatives: int = 8
    gap: int = 4
    time_matched: bool = True
    hard: bool = False
    orders: int = 2
    min_visible: int = 5

    def __post_init__(self) -> None:
        for name in ("held_out", "negatives", "orders", "min_visible"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1.")
        if self.gap < 0:
            raise ValueError("gap must not be negative.")

    @property
    def shortest_history(self) -> int:
        """Interactions with text that a user must have to be asked about."""
        return self.min_visible + self.gap + self.held_out
