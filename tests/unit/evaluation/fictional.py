"""Fictional histories with a hobby each, in as few words as a test needs."""

from datetime import UTC, datetime, timedelta
from typing import Any

from service.domain.interaction import Interaction

HOBBIES = [
    *("sourdough", "orchids", "chess", "kayaking", "pottery", "beekeeping", "fencing"),
    *("astronomy", "origami", "sailing", "whittling", "falconry"),
]
_START = datetime(2026, 3, 2, 9, tzinfo=UTC)
_PLACES = ("at home", "in the park", "with my sister", "before work", "on the train")


def text_of(hobby: str, number: int) -> str:
    return (
        f"Note {number} on {hobby}: spent the morning on it {_PLACES[number % len(_PLACES)]}, "
        f"read about {hobby} for beginners and planned the next {hobby} session."
    )


def history(hobby: str, count: int = 20) -> list[Interaction]:
    return [
        Interaction(f"{hobby}-{n:03}", _START + timedelta(hours=n), text_of(hobby, n))
        for n in range(count)
    ]


def histories(count: int = 20) -> dict[str, list[Interaction]]:
    return {hobby: history(hobby, count) for hobby in HOBBIES}


def as_lines(found: dict[str, list[Interaction]]) -> list[dict[str, Any]]:
    """As a file of histories holds them, one document a line."""
    return [
        {
            "user_id": user_id,
            "event_id": interaction.event_id,
            "occurred_at": interaction.occurred_at.isoformat(),
            "text": interaction.text,
        }
        for user_id, interactions in found.items()
        for interaction in interactions
    ]
