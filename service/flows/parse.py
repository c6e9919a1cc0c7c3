"""One item as somebody sent it → a validated interaction, or why it is rejected.

Shared by the API and `bump import`, so a file and a request are held to the same rules.
"""

import re
from datetime import datetime
from time import time
from typing import Annotated, Any

import orjson
from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
)
from pydantic_core import ErrorDetails
from uuid_utils.compat import uuid7

from service.db.interactions import NewInteraction
from service.domain.interaction import (
    DEFAULT_SOURCE,
    DEFAULT_TYPE,
    EARLIEST_OCCURRED_AT,
    IDENTIFIER_PATTERN,
    MAX_CLOCK_AHEAD,
    MAX_EVENT_ID_CHARS,
    MAX_SOURCE_CHARS,
    MAX_TYPE_CHARS,
    MAX_USER_ID_CHARS,
    USER_ID_PATTERN,
    identifier_problem,
    user_id_problem,
)
from service.flows.ingest import Rejection

MAX_ITEM_BYTES = 32_000
# Postgres indexes at most 2,704 bytes a row, with the project and the time among them.
MAX_KEY_BYTES = 2_500
MAX_ATTRIBUTE_DEPTH = 32

# In the OpenAPI document; what is checked are the functions of the domain.
USER_ID_SCHEMA: dict[str, Any] = {"minLength": 1, "pattern": USER_ID_PATTERN}
_IDENTIFIER_SCHEMA: dict[str, Any] = {"minLength": 1, "pattern": IDENTIFIER_PATTERN}

_NUMBER = re.compile(r"[+-]?[0-9.]+")
_EARLIEST_SECONDS = EARLIEST_OCCURRED_AT.timestamp()
_AHEAD_SECONDS = MAX_CLOCK_AHEAD.total_seconds()
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
_SMALLEST_NUMBER = 1e-38
_SHOWN_FIELD_CHARS = 64
_SHOWN_PROBLEMS = 3


def _time_as_text(value: Any) -> Any:
    # A bare number could be seconds or milliseconds; guessing wrong would misplace a history.
    if value is not None and (not isinstance(value, str) or _NUMBER.fullmatch(value)):
        raise ValueError("must be an RFC 3339 string such as 2026-11-22T12:00:00Z")
    return value


class InteractionIn(BaseModel):
    """One thing a user did. Without `event_id` it cannot be recognised when it is sent again."""

    model_config = ConfigDict(extra="forbid")

    user_id: str = Field(max_length=MAX_USER_ID_CHARS, json_schema_extra=USER_ID_SCHEMA)
    text: str = ""
    event_id: Annotated[str, Field(json_schema_extra=_IDENTIFIER_SCHEMA)] | None = Field(
        default=None, max_length=MAX_EVENT_ID_CHARS
    )
    source: str = Field(
        default=DEFAULT_SOURCE, max_length=MAX_SOURCE_CHARS, json_schema_extra=_IDENTIFIER_SCHEMA
    )
    type: str = Field(
        default=DEFAULT_TYPE, max_length=MAX_TYPE_CHARS, json_schema_extra=_IDENTIFIER_SCHEMA
    )
    occurred_at: Annotated[AwareDatetime | None, BeforeValidator(_time_as_text)] = Field(
        default=None, description="RFC 3339 with an offset; now where it is missing"
    )
    attributes: dict[str, JsonValue] = Field(default_factory=dict)


def parse_line(line: bytes, *, default_event_id: str | None = None) -> NewInteraction | Rejection:
    """One line of NDJSON. `default_event_id` names a line that brings no `event_id`."""
    try:
        return parse_interaction(orjson.loads(line), default_event_id=default_event_id)
    except orjson.JSONDecodeError:
        return Rejection(None, None, "line: not valid JSON")


def parse_interaction(
    document: Any, *, default_event_id: str | None = None
) -> NewInteraction | Rejection:
    try:
        item = InteractionIn.model_validate(document)
    except ValidationError as error:
        return rejection(document, reasons(error))
    problem = _problem(item)
    if problem:
        return rejection(document, problem)
    attributes = orjson.dumps(item.attributes).decode()
    size = len(item.text.encode()) + len(attributes.encode())
    if size > MAX_ITEM_BYTES:
        reason = f"text: with attributes takes {size} bytes; the limit is {MAX_ITEM_BYTES}"
        return rejection(document, reason)
    return NewInteraction(
        user_id=item.user_id,
        source=item.source,
        event_id=item.event_id or default_event_id or str(uuid7()),
        occurred_at=item.occurred_at,
        type=item.type,
        text=item.text,
        attributes_json=attributes,
    )


def _problem(item: InteractionIn) -> str | None:
    event_id = "unnamed" if item.event_id is None else item.event_id
    return (
        _of("user_id", user_id_problem(item.user_id))
        or _of("event_id", identifier_problem(event_id, MAX_EVENT_ID_CHARS))
        or _of("source", identifier_problem(item.source, MAX_SOURCE_CHARS))
        or _of("type", identifier_problem(item.type, MAX_TYPE_CHARS))
        or _of("user_id, source and event_id", _key_problem(item.user_id + item.source + event_id))
        or _of("occurred_at", _time_problem(item.occurred_at))
        or _of("text", _text_problem(item))
        or _of("attributes", _value_problem(item.attributes))
    )


def _of(field: str, reason: str | None) -> str | None:
    return f"{field}: {reason}" if reason else None


def _key_problem(key: str) -> str | None:
    size = len(key) if key.isascii() else len(key.encode())
    return f"take {size} bytes; the limit is {MAX_KEY_BYTES}" if size > MAX_KEY_BYTES else None


def _time_problem(occurred_at: datetime | None) -> str | None:
    if occurred_at is None:
        return None
    # As a number: comparing times with offsets takes several times as long.
    seconds = occurred_at.timestamp()
    if seconds < _EARLIEST_SECONDS:
        return "is before 1900"
    if seconds > time() + _AHEAD_SECONDS:
        return "is more than 24 hours in the future"
    return None


def _text_problem(item: InteractionIn) -> str | None:
    if not item.text and not item.attributes:
        return "is empty, and there are no attributes either"
    return _string_problem(item.text)


def _value_problem(value: JsonValue, depth: int = 0) -> str | None:
    """Why a JSON value cannot be stored and given back as it was sent, None if it can."""
    if isinstance(value, str):
        return _string_problem(value)
    if isinstance(value, (int, float)):
        return _number_problem(value)
    if not isinstance(value, (dict, list)):
        return None
    if depth > MAX_ATTRIBUTE_DEPTH:
        return f"are nested more than {MAX_ATTRIBUTE_DEPTH} levels deep"
    inner = [*value, *value.values()] if isinstance(value, dict) else value
    for part in inner:
        if problem := _value_problem(part, depth + 1):
            return problem
    return None


def _string_problem(value: str) -> str | None:
    if _UNSTORABLE.search(value):
        return "must not contain NUL characters or lone surrogates"
    return None


def _number_problem(value: float) -> str | None:
    # An integer beyond 64 bits arrives as a float that was rounded. And Postgres writes numbers
    # out digit by digit: a kilobyte of 1e308 would be read as fifty.
    if isinstance(value, int):
        exact = -(2**63) <= value < 2**64
    else:
        exact = value == 0 or (-(2**63) < value < 2**64 and abs(value) >= _SMALLEST_NUMBER)
    return None if exact else "hold a number beyond 64 bits or below 1e-38; send it as text"


def reasons(error: ValidationError) -> str:
    """What is wrong, as `field: reason`; of several problems the first three."""
    found = error.errors(include_url=False, include_input=False)
    return "; ".join(_reason(one) for one in found[:_SHOWN_PROBLEMS])


def _reason(problem: ErrorDetails) -> str:
    # No deeper: below `attributes` the names are the caller's own words.
    field = str(problem["loc"][0])[:_SHOWN_FIELD_CHARS] if problem["loc"] else "item"
    return f"{field}: {problem['msg'].removeprefix('Value error, ')}"


def rejection(
    document: Any, reason: str, *, user_id: str = "user_id", event_id: str = "event_id"
) -> Rejection:
    """A rejection with the ids that the document has in these fields."""
    names = document if isinstance(document, dict) else {}
    return Rejection(_text(names.get(user_id)), _text(names.get(event_id)), reason)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
