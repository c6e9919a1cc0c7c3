"""One item as somebody sent it → a validated interaction, or why it is rejected.

Shared by the API and `bump import`, so a file and a request are held to the same rules.
"""

import re
from datetime import UTC, datetime
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
from uuid_utils.compat import uuid7

from service.db.interactions import NewInteraction
from service.domain.interaction import (
    DEFAULT_SOURCE,
    DEFAULT_TYPE,
    EARLIEST_OCCURRED_AT,
    MAX_CLOCK_AHEAD,
    MAX_EVENT_ID_CHARS,
    MAX_SOURCE_CHARS,
    MAX_TYPE_CHARS,
    MAX_USER_ID_CHARS,
    identifier_problem,
    user_id_problem,
)
from service.flows.ingest import Rejection

MAX_ITEM_BYTES = 32_000
# Postgres indexes at most 2,704 bytes a row, with the project and the time among them.
MAX_KEY_BYTES = 2_500

_NUMBER = re.compile(r"[+-]?[0-9.]+")
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
_SHOWN_PATH_PARTS = 4


def _time_as_text(value: Any) -> Any:
    # A bare number could be seconds or milliseconds; guessing wrong would misplace a history.
    if value is not None and (not isinstance(value, str) or _NUMBER.fullmatch(value)):
        raise ValueError("must be an RFC 3339 string such as 2026-11-22T12:00:00Z")
    return value


class InteractionIn(BaseModel):
    """One thing a user did. Without `event_id` it cannot be recognised when it is sent again."""

    model_config = ConfigDict(extra="forbid")

    user_id: str = Field(max_length=MAX_USER_ID_CHARS)
    text: str = ""
    event_id: str | None = Field(default=None, max_length=MAX_EVENT_ID_CHARS)
    source: str = Field(default=DEFAULT_SOURCE, max_length=MAX_SOURCE_CHARS)
    type: str = Field(default=DEFAULT_TYPE, max_length=MAX_TYPE_CHARS)
    occurred_at: Annotated[AwareDatetime | None, BeforeValidator(_time_as_text)] = Field(
        default=None, description="RFC 3339 with an offset; now where it is missing"
    )
    attributes: dict[str, JsonValue] = Field(default_factory=dict)


class CloudEventIn(BaseModel):
    """CloudEvents 1.0 in JSON: `subject` is the user, `data` the text or text and attributes."""

    model_config = ConfigDict(extra="ignore")

    specversion: str
    id: str = Field(min_length=1)
    source: str = Field(min_length=1)
    type: str = Field(min_length=1)
    subject: str = Field(min_length=1)
    time: str | None = None
    data: JsonValue = None


def parse_line(line: bytes, *, default_event_id: str | None = None) -> NewInteraction | Rejection:
    """One line of NDJSON. `default_event_id` names a line that brings no `event_id`."""
    try:
        return parse_interaction(orjson.loads(line), default_event_id=default_event_id)
    except orjson.JSONDecodeError:
        return Rejection(None, None, "line: is not valid JSON")


def parse_interaction(
    document: Any, *, default_event_id: str | None = None
) -> NewInteraction | Rejection:
    try:
        item = InteractionIn.model_validate(document)
    except ValidationError as error:
        return _rejection(document, _first_reason(error))
    try:
        attributes = orjson.dumps(item.attributes).decode()
    except orjson.JSONEncodeError as error:
        return _rejection(document, f"attributes: {error}")
    problem = _problem(item, attributes)
    if problem:
        return _rejection(document, problem)
    return NewInteraction(
        user_id=item.user_id,
        source=item.source,
        event_id=item.event_id or default_event_id or str(uuid7()),
        occurred_at=item.occurred_at,
        type=item.type,
        text=item.text,
        attributes_json=attributes,
    )


def parse_cloud_event(document: Any) -> NewInteraction | Rejection:
    try:
        event = CloudEventIn.model_validate(document)
    except ValidationError as error:
        return _rejection(document, _first_reason(error))
    if event.specversion != "1.0":
        return _rejection(document, "specversion: only 1.0 is understood")
    text, attributes = _event_content(event.data)
    return parse_interaction(
        {
            "user_id": event.subject,
            "event_id": event.id,
            "source": event.source,
            "type": event.type,
            "occurred_at": event.time,
            "text": text,
            "attributes": attributes,
        }
    )


def _event_content(data: JsonValue) -> tuple[Any, Any]:
    if data is None or isinstance(data, str):
        return data or "", {}
    if not isinstance(data, dict):
        return "", {"data": data}
    rest = {key: value for key, value in data.items() if key not in {"text", "attributes"}}
    attributes = data.get("attributes", {})
    if rest and isinstance(attributes, dict):
        attributes = {**rest, **attributes}
    return data.get("text", ""), attributes


def _problem(item: InteractionIn, attributes: str) -> str | None:
    checks = {
        "user_id": user_id_problem(item.user_id),
        "event_id": item.event_id is not None
        and identifier_problem(item.event_id, MAX_EVENT_ID_CHARS),
        "source": identifier_problem(item.source, MAX_SOURCE_CHARS),
        "type": identifier_problem(item.type, MAX_TYPE_CHARS),
        "user_id, source and event_id": _key_problem(item),
        "occurred_at": _time_problem(item.occurred_at),
        "text": _content_problem(item, attributes),
        "attributes": _holds_nul(item.attributes) and "must not contain NUL characters",
    }
    return next((f"{field}: {reason}" for field, reason in checks.items() if reason), None)


def _key_problem(item: InteractionIn) -> str | None:
    size = sum(len(part.encode()) for part in (item.user_id, item.source, item.event_id or ""))
    return f"take {size} bytes; the limit is {MAX_KEY_BYTES}" if size > MAX_KEY_BYTES else None


def _time_problem(occurred_at: datetime | None) -> str | None:
    if occurred_at is None:
        return None
    if occurred_at < EARLIEST_OCCURRED_AT:
        return "is before 1900"
    if occurred_at > datetime.now(UTC) + MAX_CLOCK_AHEAD:
        return "is more than 24 hours in the future"
    return None


def _content_problem(item: InteractionIn, attributes: str) -> str | None:
    if not item.text and not item.attributes:
        return "is empty, and there are no attributes either"
    if _UNSTORABLE.search(item.text):
        return "must not contain NUL characters or lone surrogates"
    size = len(item.text.encode()) + len(attributes.encode())
    if size > MAX_ITEM_BYTES:
        return f"with attributes takes {size} bytes; the limit is {MAX_ITEM_BYTES}"
    return None


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any("\x00" in key or _holds_nul(inner) for key, inner in value.items())
    return isinstance(value, list) and any(_holds_nul(inner) for inner in value)


def _first_reason(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"][:_SHOWN_PATH_PARTS]) or "item"
    return f"{field}: {first['msg']}"


def _rejection(document: Any, reason: str) -> Rejection:
    names = document if isinstance(document, dict) else {}
    return Rejection(_text(names.get("user_id")), _text(names.get("event_id")), reason)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
