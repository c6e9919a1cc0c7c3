"""Interactions to send in, in as few words as a test needs, and the types of its fixtures."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from service.db.claims import Job
from service.db.interactions import NewInteraction, RegenerationPolicy
from service.flows.ingest import IngestResult

Add = Callable[..., Awaitable[IngestResult]]
Sql = Callable[..., Awaitable[Sequence[Any]]]
ClaimNow = Callable[..., Awaitable[list[Job]]]

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
TOPICS = ("sourdough bread", "night trains", "chess endgames", "tomato plants", "jazz records")
AT_ONCE = RegenerationPolicy(min_interactions=5, debounce=0, priority=1)


def event(
    user_id: str, number: int, *, source: str = "test", text: str | None = None
) -> NewInteraction:
    """The user's event `number`, an hour after the one before, about one of five topics."""
    return NewInteraction(
        user_id=user_id,
        source=source,
        event_id=f"e{number:04}",
        occurred_at=START + timedelta(hours=number),
        type="message",
        text=text or f"Asked about {TOPICS[number % len(TOPICS)]} again, number {number}.",
        attributes_json="{}",
    )


def events(user_id: str, numbers: Iterable[int] = range(5)) -> list[NewInteraction]:
    return [event(user_id, number) for number in numbers]


def statuses(result: IngestResult) -> list[str]:
    return [item.status.value for item in result.items]
