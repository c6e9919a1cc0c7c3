"""`POST /v1/interactions`: JSON, NDJSON or CloudEvents, and one result per item."""

import hashlib
from collections.abc import Iterator
from itertools import count, repeat
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from service.api.dependencies import IngestCaller, RuntimeDep, bounded_body, media_type_of
from service.api.openapi import ref
from service.api.problems import OF_BODIES, documented
from service.domain.interaction import MAX_EVENT_ID_CHARS, identifier_problem
from service.errors import (
    IdempotencyKeyReused,
    InvalidBody,
    InvalidField,
    TooLarge,
    UnsupportedMediaType,
)
from service.flows import cloud_events
from service.flows.cloud_events import CloudEventIn, parse_cloud_event
from service.flows.ingest import (
    IdempotentRequest,
    IngestResult,
    ItemResult,
    ItemStatus,
    Rejection,
    ingest,
    ingest_once,
)
from service.flows.parse import InteractionIn, parse_interaction, parse_line
from service.runtime import regeneration_policy

MAX_BODY_BYTES = 500_000
MAX_ITEMS = 1_000

router = APIRouter(tags=["interactions"])


class ItemOut(BaseModel):
    status: ItemStatus
    user_id: str | None
    event_id: str | None
    reason: str | None = None


class UserRevision(BaseModel):
    user_id: str
    revision: int


class IngestResponse(BaseModel):
    """One result per item, in the order in which they were sent."""

    accepted: int
    duplicates: int
    rejected: int
    results: list[ItemOut]
    users: list[UserRevision]


class InteractionBatch(BaseModel):
    model_config = ConfigDict(extra="forbid")

    interactions: list[InteractionIn] = Field(min_length=1, max_length=MAX_ITEMS)


# FastAPI does not see these, for the route reads its body itself.
BODY_MODELS = (InteractionIn, InteractionBatch, CloudEventIn)


def _request_body() -> dict[str, Any]:
    single, batch, event = ({"$ref": ref(model)} for model in BODY_MODELS)
    events = {"type": "array", "minItems": 1, "maxItems": MAX_ITEMS, "items": event}
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"oneOf": [single, batch]}},
                "application/x-ndjson": {"schema": {"type": "string"}},
                cloud_events.MEDIA_TYPE: {"schema": event},
                cloud_events.BATCH_MEDIA_TYPE: {"schema": events},
            },
        }
    }


@router.post(
    "/v1/interactions",
    response_model=IngestResponse,
    responses=documented(*OF_BODIES, IdempotencyKeyReused),
    openapi_extra=_request_body(),
)
async def add_interactions(
    request: Request,
    caller: IngestCaller,
    runtime: RuntimeDep,
    idempotency_key: Annotated[str | None, Header(max_length=MAX_EVENT_ID_CHARS)] = None,
) -> Response:
    """Store what users did. The same event sent again is a duplicate, not an error.

    One bad item never sinks the batch: it is `rejected` with a reason. At most 500 KB a body,
    32 KB an item, 1,000 items. CloudEvents may come in binary mode too (HTTP binding, 3.1).
    """
    body = await bounded_body(request, MAX_BODY_BYTES)
    media_type = media_type_of(request)
    if "ce-specversion" in request.headers and media_type not in cloud_events.STRUCTURED:
        body = cloud_events.structured_event(request.headers.items(), media_type, body)
        media_type = cloud_events.MEDIA_TYPE
    policy = regeneration_policy(runtime.settings)
    if idempotency_key is None:
        items = _parse(media_type, body, repeat(None))
        result = await ingest(runtime.database, runtime.cache, caller.project_id, items, policy)
        runtime.arrivals.add(caller.project_id, result.count(ItemStatus.ACCEPTED))
        return _answer(_render(result))
    problem = identifier_problem(idempotency_key, MAX_EVENT_ID_CHARS)
    if problem:
        raise InvalidField(("Idempotency-Key", problem))
    request_id = IdempotentRequest(
        idempotency_key, hashlib.sha256(media_type.encode() + b"\n" + body).digest()
    )
    items = _parse(media_type, body, _repeatable_event_ids(request_id))
    result, replayed = await ingest_once(
        runtime.database,
        runtime.cache,
        caller.project_id,
        items,
        policy,
        request=request_id,
    )
    if not replayed:
        runtime.arrivals.add(caller.project_id, result.count(ItemStatus.ACCEPTED))
    return _answer(_render(result), replayed=replayed)


def _repeatable_event_ids(request: IdempotentRequest) -> Iterator[str]:
    """Ids for items without one that come out the same when the request is sent again."""
    name = hashlib.blake2b(request.key.encode() + request.sha256, digest_size=12).hexdigest()
    return (f"{name}-{number}" for number in count(1))


def _parse(media_type: str, body: bytes, event_ids: Iterator[str | None]) -> list[Any]:
    match media_type:
        case "application/x-ndjson" | "application/jsonl":
            lines = [line for line in body.splitlines() if line.strip()]
            _check_count(len(lines))
            return [parse_line(line, default_event_id=next(event_ids)) for line in lines]
        case cloud_events.MEDIA_TYPE:
            return [_single(parse_cloud_event(_load(body)))]
        case cloud_events.BATCH_MEDIA_TYPE:
            return [parse_cloud_event(event) for event in _batch(_load(body), "the batch")]
        case "application/json":
            return _parse_json(_load(body), event_ids)
    raise UnsupportedMediaType(
        "Send application/json, application/x-ndjson, application/cloudevents+json or "
        "application/cloudevents-batch+json."
    )


def _parse_json(document: Any, event_ids: Iterator[str | None]) -> list[Any]:
    if isinstance(document, dict) and "interactions" in document:
        unknown = sorted(set(document) - {"interactions"})
        if unknown:
            raise InvalidField((unknown[0], "unknown field beside `interactions`"))
        batch = _batch(document["interactions"], "`interactions`")
        return [parse_interaction(item, default_event_id=next(event_ids)) for item in batch]
    return [_single(parse_interaction(document, default_event_id=next(event_ids)))]


def _load(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidBody(f"The body is not valid JSON (at character {error.pos}).") from None


def _batch(document: Any, name: str) -> list[Any]:
    if not isinstance(document, list):
        raise InvalidBody(f"{name} must be a JSON array.")
    _check_count(len(document))
    return document


def _check_count(count: int) -> None:
    if count == 0:
        raise InvalidBody("The batch is empty.")
    if count > MAX_ITEMS:
        raise TooLarge(f"The batch has {count} items; the limit is {MAX_ITEMS}.", limit=MAX_ITEMS)


def _single(item: Any) -> Any:
    """A lone item has no batch to protect: what is wrong with it is an error."""
    if isinstance(item, Rejection):
        field, _, reason = item.reason.partition(": ")
        raise InvalidField((field, reason))
    return item


def _render(result: IngestResult) -> bytes:
    return orjson.dumps(
        {
            "accepted": result.count(ItemStatus.ACCEPTED),
            "duplicates": result.count(ItemStatus.DUPLICATE),
            "rejected": result.count(ItemStatus.REJECTED),
            "results": [_item_document(item) for item in result.items],
            "users": [
                {"user_id": user_id, "revision": revision}
                for user_id, revision in result.revisions.items()
            ],
        }
    )


def _item_document(item: ItemResult) -> dict[str, Any]:
    return {
        "status": item.status.value,
        "user_id": item.user_id,
        "event_id": item.event_id,
        "reason": item.reason,
    }


def _answer(body: bytes, *, replayed: bool = False) -> Response:
    headers = {"Idempotent-Replayed": "true"} if replayed else None
    return Response(body, media_type="application/json", headers=headers)
