"""Opaque cursors: a page's last order key, so that pages never skip or repeat what stood there."""

import base64
from datetime import UTC, datetime

import orjson

from service.domain.interaction import Interaction, history_order, user_id_problem
from service.errors import InvalidCursor

_REFUSAL = "Pass `next_cursor` of the previous page as it was returned."


def encode(interaction: Interaction) -> str:
    occurred_at, source, event_id = history_order(interaction)
    return _pack(orjson.dumps([occurred_at.isoformat(), source, event_id]))


def decode(cursor: str) -> tuple[datetime, str, str]:
    """Raises InvalidCursor for anything that `encode` did not make."""
    try:
        occurred_at, source, event_id = orjson.loads(_unpack(cursor))
        moment = datetime.fromisoformat(occurred_at)
        if moment.tzinfo is None or not isinstance(source, str) or not isinstance(event_id, str):
            raise ValueError
        if "\x00" in source + event_id:
            raise ValueError
        # Postgres reads UTC: the first and last hours of the calendar may have none.
        moment = moment.astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        raise InvalidCursor(_REFUSAL, field="cursor") from None
    return moment, source, event_id


def encode_user_id(user_id: str) -> str:
    return _pack(user_id.encode())


def decode_user_id(cursor: str) -> str:
    """Raises InvalidCursor for anything that `encode_user_id` did not make."""
    try:
        user_id = _unpack(cursor).decode()
    except ValueError:
        raise InvalidCursor(_REFUSAL, field="cursor") from None
    if user_id_problem(user_id):
        raise InvalidCursor(_REFUSAL, field="cursor")
    return user_id


def _pack(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).rstrip(b"=").decode()


def _unpack(cursor: str) -> bytes:
    """Raises ValueError."""
    padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
    return base64.b64decode(padded, altchars=b"-_", validate=True)
