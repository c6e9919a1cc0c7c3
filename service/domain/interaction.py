"""One thing a user did, and the order in which a history is read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

MAX_USER_ID_CHARS = 256
MAX_EVENT_ID_CHARS = 256
MAX_SOURCE_CHARS = 256
MAX_TYPE_CHARS = 128
MAX_CLOCK_AHEAD = timedelta(hours=24)
EARLIEST_OCCURRED_AT = datetime(1900, 1, 1, tzinfo=UTC)
DEFAULT_SOURCE = "api"
DEFAULT_TYPE = "interaction"

# For documentation: the rules of `identifier_problem` and `user_id_problem` as regular expressions
# that other languages read as well.
IDENTIFIER_PATTERN = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029\ufffd]+$"
USER_ID_PATTERN = r"^(?!\.{1,2}$)[^/\x00-\x1f\x7f-\x9f\u2028\u2029\ufffd]+$"

_UNSAFE_IN_IDENTIFIER = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffd]")


class EventKey(NamedTuple):
    """What identifies an interaction within its user: where it came from and its id there."""

    source: str
    event_id: str


@dataclass(frozen=True, slots=True)
class Interaction:
    """One stored record of a history.

    `occurred_at` is timezone-aware. `revision` is the user's revision that added it (0 when it was
    never stored). `attributes` holds JSON values only.
    """

    event_id: str
    occurred_at: datetime
    text: str
    source: str = DEFAULT_SOURCE
    type: str = DEFAULT_TYPE
    attributes: Mapping[str, Any] = field(default_factory=dict)
    revision: int = 0

    @property
    def key(self) -> EventKey:
        return EventKey(self.source, self.event_id)


def history_order(interaction: Interaction) -> tuple[datetime, str, str]:
    """Sort key of a history: (occurred_at, source, event_id), so equal times have one order."""
    return (interaction.occurred_at, interaction.source, interaction.event_id)


def identifier_problem(value: str, max_chars: int) -> str | None:
    """Why `value` cannot be an identifier, or None if it can.

    Control characters cannot be stored or shown safely (Postgres refuses NUL, terminals obey
    escapes); everything else, punctuation and any script, is the caller's business.
    """
    if not value:
        return "must not be empty"
    if len(value) > max_chars:
        return f"must have at most {max_chars} characters"
    if _UNSAFE_IN_IDENTIFIER.search(value):
        return "must not contain control characters, line breaks or characters that are no text"
    return None


def user_id_problem(value: str) -> str | None:
    """Why `value` cannot be a `user_id`, or None. It must also fit into one URL path segment."""
    if "/" in value or value in {".", ".."}:
        return "must not contain '/' and must not be '.' or '..': it is one segment of a URL path"
    return identifier_problem(value, MAX_USER_ID_CHARS)
