"""CloudEvents 1.0 → interactions: `subject` is the user, `data` the text or text and attributes."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

import orjson
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from service.db.interactions import NewInteraction
from service.errors import InvalidBody, UnsupportedMediaType
from service.flows.ingest import Rejection
from service.flows.parse import USER_ID_SCHEMA, parse_interaction, reasons, rejection

MEDIA_TYPE = "application/cloudevents+json"
BATCH_MEDIA_TYPE = "application/cloudevents-batch+json"
STRUCTURED = {MEDIA_TYPE, BATCH_MEDIA_TYPE}

_HEADER_PREFIX = "ce-"
# An interaction's field, and where the event says it.
_EVENT_FIELDS = {
    "user_id": "subject",
    "event_id": "id",
    "occurred_at": "time",
    "text": "data",
    "attributes": "data",
    "user_id, source and event_id": "subject, source and id",
}


class CloudEventIn(BaseModel):
    """The JSON form. Extension attributes are passed over."""

    model_config = ConfigDict(extra="ignore")

    specversion: str = Field(examples=["1.0"])
    id: str = Field(min_length=1)
    source: str = Field(min_length=1)
    type: str = Field(min_length=1)
    subject: str = Field(min_length=1, description="the user", json_schema_extra=USER_ID_SCHEMA)
    time: str | None = Field(default=None, description="RFC 3339 with an offset")
    data: JsonValue = Field(
        default=None,
        description="the text, or an object with `text` and `attributes`; the rest are attributes",
    )
    data_base64: JsonValue = Field(default=None, description="not understood")


def parse_cloud_event(document: Any) -> NewInteraction | Rejection:
    """The interaction that the event tells of, or why it is rejected, in the event's words."""
    try:
        event = CloudEventIn.model_validate(document)
    except ValidationError as error:
        return _rejection(document, reasons(error))
    if event.specversion != "1.0":
        return _rejection(document, "specversion: only 1.0 is understood")
    if event.data_base64 is not None:
        return _rejection(document, "data_base64: binary data is not understood; send `data`")
    text, attributes = _content(event.data)
    item = parse_interaction(
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
    if isinstance(item, NewInteraction):
        return item
    field, _, reason = item.reason.partition(": ")
    return _rejection(document, f"{_EVENT_FIELDS.get(field, field)}: {reason}")


def structured_event(headers: Iterable[tuple[str, str]], media_type: str, body: bytes) -> bytes:
    """The JSON form of an event in binary mode (CloudEvents 1.0, HTTP binding, 3.1).

    There, the `ce-` headers are the attributes, percent-encoded, and the body is the data. Raises
    UnsupportedMediaType for data that is neither JSON nor text, InvalidBody where it is broken.
    """
    attributes = {
        name.removeprefix(_HEADER_PREFIX): unquote(value)
        for name, value in headers
        if name.startswith(_HEADER_PREFIX)
    }
    return orjson.dumps({**attributes, "data": _binary_data(media_type, body)})


def _binary_data(media_type: str, body: bytes) -> Any:
    if not body:
        return None
    try:
        if media_type == "application/json" or media_type.endswith("+json"):
            return orjson.loads(body)
        if media_type.startswith("text/"):
            return body.decode()
    except ValueError:
        raise InvalidBody(f"The event's data is not valid {media_type} in UTF-8.") from None
    raise UnsupportedMediaType("The data of an event in binary mode must be JSON or text.")


def _content(data: JsonValue) -> tuple[Any, Any]:
    if data is None or isinstance(data, str):
        return data or "", {}
    if not isinstance(data, dict):
        return "", {"data": data}
    rest = {key: value for key, value in data.items() if key not in {"text", "attributes"}}
    attributes = data.get("attributes", {})
    if rest and isinstance(attributes, dict):
        attributes = {**rest, **attributes}
    return data.get("text", ""), attributes


def _rejection(document: Any, reason: str) -> Rejection:
    return rejection(document, reason, user_id="subject", event_id="id")
