"""`POST /v1/personalize`: the tailored answer, whole or streamed, and the prompt behind it."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Literal, Self

import orjson
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, field_validator, model_validator
from starlette.responses import Response

from service.api.dependencies import PersonalizeCaller, RuntimeDep, StrictJsonRoute
from service.api.documents import STRICT
from service.api.draining import Drain
from service.api.event_stream import EventStream, unless_gone
from service.api.headers import profile_headers
from service.api.problems import OF_BODIES, documented, problem_document
from service.api.prompting import Asked, personalized, reserved
from service.db.projects import Scope
from service.domain.interaction import user_id_problem
from service.domain.prompts import Message
from service.errors import (
    BumpError,
    DownstreamBusy,
    DownstreamFailed,
    DownstreamNotConfigured,
    DownstreamRefused,
    DownstreamTimedOut,
    InvalidField,
    LimitReached,
    ModelNotFound,
    NotFound,
    ProfilingPaused,
)
from service.flows import personalize
from service.flows.parse import USER_ID_SCHEMA
from service.flows.personalize import PersonalizedPrompt
from service.llm.chat_stream import Chunk
from service.llm.usage import Usage
from service.runtime import Runtime

router = APIRouter(prefix="/v1/personalize", tags=["personalize"], route_class=StrictJsonRoute)

_MAX_CHARS = 200_000


class MessageIn(BaseModel):
    model_config = STRICT

    role: Literal["system", "developer", "user", "assistant"]
    content: str = Field(max_length=_MAX_CHARS)


class PromptIn(BaseModel):
    """Who asks and what: either `input`, one user message, or the whole `messages`."""

    model_config = STRICT

    user_id: str = Field(json_schema_extra=USER_ID_SCHEMA)
    input: str | None = Field(default=None, min_length=1, max_length=_MAX_CHARS)
    messages: list[MessageIn] | None = Field(default=None, min_length=1, max_length=200)
    max_tokens: int | None = Field(default=None, ge=1, le=100_000)
    model: str | None = Field(default=None, min_length=1, max_length=200)
    template: str | None = Field(default=None, min_length=1, max_length=64)
    relevant_only: bool | None = None

    @field_validator("user_id")
    @classmethod
    def _names_a_user(cls, user_id: str) -> str:
        problem = user_id_problem(user_id)
        if problem:
            raise ValueError(problem)
        return user_id

    @model_validator(mode="after")
    def _either_input_or_messages(self) -> Self:
        if (self.input is None) == (self.messages is None):
            raise ValueError("give either `input` or `messages`")
        return self

    def as_messages(self) -> list[Message]:
        if self.messages is None:
            return [Message("user", self.input or "")]
        return [Message(message.role, message.content) for message in self.messages]


class PromptOfVersionIn(PromptIn):
    """`profile_version`: assemble it as for an answer that named this version; needs `read` too."""

    profile_version: int | None = Field(default=None, ge=1, le=2**31 - 1)


class PersonalizeIn(PromptIn):
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    stop: list[str] = Field(default_factory=list, max_length=4)
    seed: int | None = Field(default=None, ge=0, le=2**63 - 1)
    stream: bool = False


class UsageOut(BaseModel):
    prompt_tokens: int
    completion_tokens: int


class ProfileUsed(BaseModel):
    """The profile behind an answer; all null for a user without one."""

    profile_version: int | None
    profile_revision: int | None
    profile_stale: bool | None


class PersonalizeOut(ProfileUsed):
    output: str
    finish_reason: str | None
    usage: UsageOut | None
    model: str


class PromptOut(ProfileUsed):
    """The messages as the downstream model would get them; `tokens` is an upper estimate."""

    messages: list[MessageIn]
    tokens: int


@router.post(
    "/prompt",
    response_model=PromptOut,
    responses=documented(*OF_BODIES, ModelNotFound, NotFound, ProfilingPaused),
)
async def assemble_prompt(
    request: Request, body: PromptOfVersionIn, caller: PersonalizeCaller, runtime: RuntimeDep
) -> dict[str, Any]:
    """The personalised messages, without generation. Works without a downstream model."""
    # Short valid calls without a version do not come here: `hot_routes` answers them.
    if body.profile_version is not None:
        await request.app.state.authenticator.authenticate(request.scope, Scope.READ)
    return await prompt_document(body, caller.project_id, runtime, body.profile_version)


async def prompt_document(
    body: PromptIn, project_id: str, runtime: Runtime, profile_version: int | None = None
) -> dict[str, Any]:
    """`PromptOut` as plain types, for what the caller asked."""
    prompt = await personalized(_asked(body, project_id, profile_version), runtime)
    return {
        **_profile_used(prompt),
        "messages": [message.to_json() for message in prompt.prompt.messages],
        "tokens": prompt.prompt.tokens,
    }


@router.post(
    "",
    response_model=PersonalizeOut,
    responses={
        200: {"content": {"text/event-stream": {}}},
        **documented(
            *OF_BODIES,
            ModelNotFound,
            DownstreamNotConfigured,
            DownstreamRefused,
            DownstreamBusy,
            LimitReached,
            DownstreamFailed,
            DownstreamTimedOut,
        ),
    },
)
async def personalize_answer(
    request: Request, body: PersonalizeIn, caller: PersonalizeCaller, runtime: RuntimeDep
) -> Response:
    """Answer `input` or `messages` in a way that suits the user.

    With `stream`, server-sent events: `profile`, then `delta`s, then `done` or `error`.
    """
    # Short valid calls do not come here: `hot_routes` answers them.
    return await answer_response(request, body, caller.project_id, runtime)


async def answer_response(
    request: Request, body: PersonalizeIn, project_id: str, runtime: Runtime
) -> Response:
    """`PersonalizeOut`, or the events of a stream. Raises what the route documents."""
    downstreams = personalize.configured(runtime.downstream)
    parameters = _parameters(body, runtime)
    asked = _asked(body, project_id)
    prompt = await personalized(asked, runtime)
    reservation = await reserved(asked, prompt, runtime)
    headers = profile_headers(prompt.profile) | reservation.headers
    if body.stream:
        chunks = personalize.stream(downstreams, body.model, prompt, parameters, reservation)
        # The first piece is awaited here, so that a downstream that fails at once is an error
        # with its status and not a stream that breaks.
        first = await unless_gone(request, anext(chunks, None))
        events = _server_sent_events(prompt, first, chunks, request.app.state.drain)
        return EventStream(events, headers)
    answer = await unless_gone(
        request, personalize.complete(downstreams, body.model, prompt, parameters, reservation)
    )
    if answer is None:
        return Response(status_code=499)
    choice = answer.document["choices"][0]
    document = {
        **_profile_used(prompt),
        "output": choice["message"].get("content") or "",
        "finish_reason": choice.get("finish_reason"),
        "usage": _usage(answer.usage),
        "model": downstreams.find(body.model).options.model,
    }
    return Response(orjson.dumps(document), media_type="application/json", headers=headers)


def _asked(body: PromptIn, project_id: str, profile_version: int | None = None) -> Asked:
    return Asked(
        project_id,
        body.user_id,
        body.as_messages(),
        model=body.model,
        most_tokens=body.max_tokens,
        template=body.template,
        relevant_only=body.relevant_only,
        profile_version=profile_version,
    )


def _parameters(body: PersonalizeIn, runtime: Runtime) -> dict[str, Any]:
    if any(not stop or len(stop) > 100 for stop in body.stop):
        raise InvalidField(("stop", "every entry needs 1 to 100 characters"))
    given = {
        "max_tokens": body.max_tokens or runtime.settings.downstream_max_tokens,
        "temperature": body.temperature,
        "top_p": body.top_p,
        "stop": body.stop or None,
        "seed": body.seed,
    }
    return {name: value for name, value in given.items() if value is not None}


def _profile_used(prompt: PersonalizedPrompt) -> dict[str, Any]:
    profile = prompt.profile
    return {
        "profile_version": profile.version if profile else None,
        "profile_revision": profile.revision if profile else None,
        "profile_stale": profile.stale if profile else None,
    }


def _usage(usage: Usage | None) -> dict[str, int] | None:
    if usage is None:
        return None
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
    }


async def _server_sent_events(
    prompt: PersonalizedPrompt,
    first: list[Chunk] | None,
    chunks: AsyncGenerator[list[Chunk], None],
    drain: Drain,
) -> AsyncGenerator[bytes, None]:
    finish_reason, usage = None, None
    events = [_event("profile", _profile_used(prompt))]
    try:
        # Closed with us, so that a client that leaves takes the upstream call along.
        async with aclosing(chunks):
            batch = first
            while batch is not None:
                for chunk in batch:
                    for choice in chunk.choices[:1]:
                        if text := (choice.get("delta") or {}).get("content"):
                            events.append(_event("delta", {"text": text}))
                        finish_reason = choice.get("finish_reason") or finish_reason
                    usage = chunk.usage or usage
                if events:
                    yield b"".join(events)
                    events = []
                async with drain.limit():
                    batch = await anext(chunks, None)
    except BumpError as error:
        yield b"".join([*events, _event("error", problem_document(error))])
        return
    done = _event("done", {"finish_reason": finish_reason, "usage": _usage(usage)})
    yield b"".join([*events, done])


def _event(name: str, data: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(data))
