"""Every operation of the API: its request, what may be done again, and how its answer is read.

Nothing here sends anything. `Bump` and `AsyncBump` do, each in its own way.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

from bump_client.batches import Batch
from bump_client.errors import PROBLEM_BASE, NotFound, Reply, UnexpectedAnswer, problem_error
from bump_client.models import (
    Answer,
    AnswerOptions,
    Diff,
    IngestResult,
    InteractionPage,
    Message,
    Profile,
    Profiling,
    Prompt,
    PromptOptions,
    Receipt,
    Regeneration,
    Usage,
    VersionPage,
)

# What the service gives a downstream model for one answer, by default.
_MODEL_SECONDS = 60.0
_PAGE_ITEMS = 500
_NO_PROFILE = f"{PROBLEM_BASE}profile-not-found"
_JSON = {"Content-Type": "application/json"}

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Request:
    """A request, to be sent once or more.

    `repeatable`: to send it again changes nothing (RFC 9110, 9.2.2, or an Idempotency-Key).
    `server_seconds`: what it may take beyond the time of any other request.
    """

    method: str
    path: str
    query: Mapping[str, str | int | float] = field(default_factory=dict)
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True
    server_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Call(Generic[Result]):
    """A request with a whole answer."""

    request: Request
    shape: TypeAdapter[Result]

    def result(self, reply: Reply) -> Result:
        """Raises a ProblemError, or UnexpectedAnswer."""
        if not reply.is_success:
            raise problem_error(reply)
        try:
            return self.shape.validate_json(reply.body)
        except ValidationError as error:
            raise UnexpectedAnswer(
                "The answer is not one that Bump's API gives: is the address right?"
            ) from error


@dataclass(frozen=True)
class ProfileCall(Call[Profile | None]):
    """The read of a profile: no profile yet is an answer, and so is that `known` is current."""

    known: Profile | None = None

    def result(self, reply: Reply) -> Profile | None:
        """Raises a ProblemError, or UnexpectedAnswer."""
        if reply.status == HTTPStatus.NOT_MODIFIED and self.known is not None:
            return self.known
        try:
            found = super().result(reply)
        except NotFound as error:
            if error.type == _NO_PROFILE:
                return None
            raise
        return found and found.model_copy(update={"etag": reply.headers.get("etag")})


# Built once: pydantic compiles each of them.
_INGEST_RESULT: TypeAdapter[IngestResult] = TypeAdapter(IngestResult)
_PROFILE: TypeAdapter[Profile | None] = TypeAdapter(Profile | None)
_VERSION: TypeAdapter[Profile] = TypeAdapter(Profile)
_VERSION_PAGE: TypeAdapter[VersionPage] = TypeAdapter(VersionPage)
_DIFF: TypeAdapter[Diff] = TypeAdapter(Diff)
_REGENERATION: TypeAdapter[Regeneration] = TypeAdapter(Regeneration)
_INTERACTION_PAGE: TypeAdapter[InteractionPage] = TypeAdapter(InteractionPage)
_PROFILING: TypeAdapter[Profiling] = TypeAdapter(Profiling)
_ANSWER: TypeAdapter[Answer] = TypeAdapter(Answer)
_PROMPT: TypeAdapter[Prompt] = TypeAdapter(Prompt)
_RECEIPT: TypeAdapter[Receipt] = TypeAdapter(Receipt)
_USAGE: TypeAdapter[Usage] = TypeAdapter(Usage)


def add_batch(batch: Batch) -> Call[IngestResult]:
    headers = {**_JSON, "Idempotency-Key": batch.idempotency_key}
    request = Request("POST", "/v1/interactions", body=batch.body, headers=headers)
    return Call(request, _INGEST_RESULT)


def profile(
    user_id: str, min_revision: int, wait: float, known: Profile | None
) -> Call[Profile | None]:
    request = Request(
        "GET",
        _of_user(user_id, "/profile"),
        {"min_revision": min_revision, "wait": wait} if min_revision or wait else {},
        headers={"If-None-Match": known.etag} if known and known.etag else {},
        server_seconds=wait,
    )
    return ProfileCall(request, _PROFILE, known)


def versions(user_id: str, before: int | None) -> Call[VersionPage]:
    query = {"before": before} if before else {}
    return Call(Request("GET", _of_user(user_id, "/profile/versions"), query), _VERSION_PAGE)


def version(user_id: str, number: int) -> Call[Profile]:
    return Call(Request("GET", _of_user(user_id, f"/profile/versions/{number}")), _VERSION)


def diff(user_id: str, before: int, after: int) -> Call[Diff]:
    query = {"from": before, "to": after}
    return Call(Request("GET", _of_user(user_id, "/profile/diff"), query), _DIFF)


def corrections(
    user_id: str, pinned: Sequence[str], suppressed: Sequence[str]
) -> Call[Profile | None]:
    body = _json({"pinned": list(pinned), "suppressed": list(suppressed)})
    path = _of_user(user_id, "/profile/corrections")
    return Call(Request("PUT", path, body=body, headers=_JSON), _PROFILE)


def regenerate(user_id: str, wait: float) -> Call[Regeneration]:
    request = Request(
        "POST",
        _of_user(user_id, "/profile/regenerate"),
        {"wait": wait} if wait else {},
        repeatable=False,
        server_seconds=wait,
    )
    return Call(request, _REGENERATION)


def rollback(user_id: str, number: int) -> Call[Profile]:
    body = _json({"version": number})
    path = _of_user(user_id, "/profile/rollback")
    # Each one writes a version.
    return Call(Request("POST", path, body=body, headers=_JSON, repeatable=False), _VERSION)


def interactions(user_id: str, cursor: str | None) -> Call[InteractionPage]:
    query: dict[str, str | int] = {"limit": _PAGE_ITEMS}
    if cursor:
        query["cursor"] = cursor
    return Call(Request("GET", _of_user(user_id, "/interactions"), query), _INTERACTION_PAGE)


def profiling(user_id: str, wanted: Literal["on", "paused"]) -> Call[Profiling]:
    path = _of_user(user_id, "/profiling")
    return Call(Request("PUT", path, body=_json({"profiling": wanted}), headers=_JSON), _PROFILING)


def personalize(
    user_id: str, asked: str | Sequence[Message], options: AnswerOptions
) -> Call[Answer]:
    return Call(_personalize(user_id, asked, options, stream=False), _ANSWER)


def personalize_stream(
    user_id: str, asked: str | Sequence[Message], options: AnswerOptions
) -> Request:
    return _personalize(user_id, asked, options, stream=True)


def personalize_prompt(
    user_id: str, asked: str | Sequence[Message], options: PromptOptions
) -> Call[Prompt]:
    body = _json({"user_id": user_id, **_asked(asked), **options})
    # A POST for the sake of its body: nothing is changed by it.
    return Call(Request("POST", "/v1/personalize/prompt", body=body, headers=_JSON), _PROMPT)


def export(user_id: str) -> Request:
    return Request("GET", _of_user(user_id, "/export"))


def erase(user_id: str) -> Call[Receipt]:
    return Call(Request("DELETE", _of_user(user_id)), _RECEIPT)


def usage(user_id: str | None) -> Call[Usage]:
    query = {"user_id": user_id} if user_id is not None else {}
    return Call(Request("GET", "/v1/usage", query), _USAGE)


def _personalize(
    user_id: str, asked: str | Sequence[Message], options: AnswerOptions, *, stream: bool
) -> Request:
    body = {"user_id": user_id, **_asked(asked), **options, "stream": stream}
    return Request(
        "POST",
        "/v1/personalize",
        body=_json(body),
        headers=_JSON,
        # The model would be paid, and its tokens counted, twice.
        repeatable=False,
        server_seconds=_MODEL_SECONDS,
    )


def _asked(asked: str | Sequence[Message]) -> dict[str, Any]:
    if isinstance(asked, str):
        return {"input": asked}
    return {"messages": [dict(message) for message in asked]}


def _of_user(user_id: str, rest: str = "") -> str:
    # Those would be another path: no user has such an id.
    if user_id in {"", ".", ".."}:
        raise ValueError("`user_id` must not be empty, '.' or '..'")
    return f"/v1/users/{quote(user_id, safe='')}{rest}"


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
