"""Opaque cursors: a page's last order key, so that pages never skip or repeat what stood there."""

import base64
from datetime import UTC, datetime

import orjson

from service.domain.interaction import Interaction, history_order
from service.errors import InvalidCursor


def encode(interaction: Interaction) -> str:
    occurred_at, source, event_id = history_order(interaction)
    packed = orjson.dumps([occurred_at.isoformat(), source, event_id])
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def decode(cursor: str) -> tuple[datetime, str, str]:
    """Raises InvalidCursor for anything that `encode` did not make."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        occurred_at, source, event_id = orjson.loads(
            base64.b64decode(padded, altchars=b"-_", validate=True)
        )
        moment = datetime.fromisoformat(occurred_at)
        if moment.tzinfo is None or not isinstance(source, str) or not isinstance(event_id, str):
            raise ValueError
        if "\x00" in source + event_id:
            raise ValueError
        # Postgres reads UTC: the first and last hours of the calendar may have none.
        moment = moment.astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        raise InvalidCursor(
            "Pass `next_cursor` of the previous page as it was returned.", field="cursor"
        ) from None
    return moment, source, event_id
