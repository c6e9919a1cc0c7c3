"""What a buffer holds, and when it sends: the same for a thread and for a task."""

from collections import deque
from collections.abc import Callable
from math import inf

from bump_client.batches import Batch, batches
from bump_client.errors import Failure, InteractionsRejected, Undelivered
from bump_client.models import IngestResult, Interaction

FLUSH_ITEMS = 200
FLUSH_SECONDS = 1.0
CAPACITY = 10_000


class Pending:
    """Interactions that wait, that are on their way, and that could not be stored.

    All of them together are at most `capacity`. What leaves was stored, or handed to `on_failure`.
    Whoever uses it sees to it that one call runs at a time. Times are seconds of one clock.
    """

    def __init__(
        self,
        flush_items: int,
        flush_seconds: float,
        capacity: int,
        on_failure: Callable[[Failure], None] | None,
    ) -> None:
        self.accepting = False
        self._flush_items = flush_items
        self._flush_seconds = flush_seconds
        self._capacity = capacity
        self._on_failure = on_failure
        self._waiting: deque[Interaction] = deque()
        self._on_their_way: tuple[Interaction, ...] = ()
        self._failures: list[Failure] = []
        self._failed = 0
        self._due_at = 0.0
        self._added = self._settled = 0

    def has_room(self) -> bool:
        """Raises RuntimeError while it is not open, Undelivered when it holds only failures."""
        if not self.accepting:
            raise RuntimeError("The buffer is not open: use it in a `with` block.")
        if self._failed >= self._capacity:
            raise Undelivered(tuple(self._failures))
        return len(self._waiting) + len(self._on_their_way) + self._failed < self._capacity

    def add(self, interaction: Interaction, now: float) -> None:
        if not self._waiting:
            self._due_at = now + self._flush_seconds
        self._waiting.append(interaction)
        self._added += 1

    def hurry(self) -> int:
        """What waits is due now. Returns what `is_settled` asks of it."""
        self._due_at = -inf
        return self._added

    def is_settled(self, count: int) -> bool:
        """Whether each of the first `count` that were added was stored or given back."""
        return self._settled >= count

    def seconds_until_due(self, now: float) -> float | None:
        """Until the next batch should go, or, when it is closed, the end be noticed."""
        if not self.accepting or len(self._waiting) >= self._flush_items:
            return 0.0
        return max(0.0, self._due_at - now) if self._waiting else None

    def take(self) -> Batch | None:
        """The next batch, on its way from here on. None when all is sent."""
        if not self._waiting:
            return None
        batch = next(batches(self._waiting))
        for _ in batch.interactions:
            self._waiting.popleft()
        self._on_their_way = batch.interactions
        return batch

    def settle(self, outcome: IngestResult | Exception) -> None:
        """What became of the batch that was on its way."""
        sent, self._on_their_way = self._on_their_way, ()
        self._settled += len(sent)
        if isinstance(outcome, IngestResult):
            self._give_back_rejected(sent, outcome)
            return
        self._give_back(sent, outcome)
        if not self.accepting:
            # Each of the others would wait as long, and hold up the end, for the same outcome.
            self.abandon(outcome)

    def abandon(self, error: BaseException) -> None:
        """Give up what is not stored yet."""
        self.accepting = False
        rest = (*self._on_their_way, *self._waiting)
        self._on_their_way = ()
        self._waiting.clear()
        self._settled = self._added
        if rest:
            self._give_back(rest, error)

    def raise_failures(self) -> None:
        """Raises Undelivered for what nobody was told of."""
        failures, self._failures, self._failed = self._failures, [], 0
        if failures:
            raise Undelivered(tuple(failures))

    def _give_back_rejected(self, sent: tuple[Interaction, ...], result: IngestResult) -> None:
        pairs = zip(sent, result.results, strict=False)
        rejected = [(item, found) for item, found in pairs if found.status == "rejected"]
        if rejected:
            items, results = zip(*rejected, strict=True)
            self._give_back(items, InteractionsRejected(results))

    def _give_back(self, interactions: tuple[Interaction, ...], error: BaseException) -> None:
        failure = Failure(interactions, error)
        if self._on_failure is not None:
            try:
                self._on_failure(failure)
                return
            except Exception as raised:
                error.add_note(f"`on_failure` did not take it: {raised!r}")
        self._failures.append(failure)
        self._failed += len(interactions)
