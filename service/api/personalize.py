"""`POST /v1/personalize`: the tailored answer, whole or streamed, and the prompt behind it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import aclosing
from typing import Any, Literal, Self, TypeVar

import orjson
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, field_validator, model_validator
from starlette.responses import Response, StreamingResponse

from service.api.dependencies import PersonalizeCaller, RuntimeDep, StrictJsonRoute
from service.api.documents import STRICT
from service.api.draining import Drain
from service.api.problems import OF_BODIES, documented, problem_document
from service.domain.interaction import user_id_problem
from service.domain.prompts import Message
from service.errors import (
    BumpError,
    DownstreamFailed,
    DownstreamNotConfigured,
    DownstreamTimedOut,
    InvalidField,
)
from service.flows import personalize
from service.flows.parse import USER_ID_SCHEMA
from service.flows.personalize import PersonalizedPrompt, PromptLimits
from service.llm.client import Delta, Sampling, Usage
from service.runtime import Runtime

router = APIRouter(prefix="/v1/personalize", tags=["personalize"], route_class=StrictJsonRoute)

_MAX_CHARS = 200_000
Result = TypeVar("Result")


class MessageIn(BaseModel):
    model_config = STRICT

    role: Literal["system", "user", "assistant"]
    content: str = Field(max_length=_MAX_CHARS)


class PromptIn(BaseModel):
    """Who asks and what: either `input`, one user message, or the whole `messages`."""

    model_config = STRICT

    user_id: str = Field(json_schema_extra=USER_ID_SCHEMA)
    input: str | None = Field(default=None, min_length=1, max_length=_MAX_CHARS)
    messages: list[MessageIn] | None = Field(default=None, min_length=1, max_length=200)
    max_tokens: int | None = Field(default=None, ge=1, le=100_000)

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


@router.post("/prompt", response_model=PromptOut, responses=documented(*OF_BODIES))
async def assemble_prompt(
    body: PromptIn, caller: PersonalizeCaller, runtime: RuntimeDep
) -> dict[str, Any]:
    """The personalised messages, without generation. Works without a downstream model."""
    # Short valid calls do not come here: `hot_routes` answers them.
    return await prompt_document(body, caller.project_id, runtime)


async def prompt_document(body: PromptIn, project_id: str, runtime: Runtime) -> dict[str, Any]:
    """`PromptOut` as plain types, for what the caller asked."""
    prompt = await _prompt(body, project_id, runtime)
    return {
        **_profile_used(prompt),
        "messages": [{"role": m.role, "content": m.content} for m in prompt.prompt.messages],
        "tokens": prompt.prompt.tokens,
    }


@router.post(
    "",
    response_model=PersonalizeOut,
    responses={
        200: {"content": {"text/event-stream": {}}},
        **documented(*OF_BODIES, DownstreamNotConfigured, DownstreamFailed, DownstreamTimedOut),
    },
)
async def personalize_answer(
    request: Request, body: PersonalizeIn, caller: PersonalizeCaller, runtime: RuntimeDep
) -> Any:
    """Answer `input` or `messages` in a way that suits the user.

    With `stream`, server-sent events: `profile`, then `delta`s, then `done` or `error`.
    """
    downstream = personalize.configured(runtime.downstream)
    prompt = await _prompt(body, caller.project_id, runtime)
    sampling = _sampling(body, runtime)
    if body.stream:
        deltas = personalize.stream(downstream, prompt, sampling)
        # The first piece is awaited here, so that a downstream that fails at once is an error
        # with its status and not a stream that breaks.
        first = await _unless_gone(request, _next(deltas))
        events = _server_sent_events(prompt, first, deltas, request.app.state.drain)
        return StreamingResponse(events, media_type="text/event-stream")
    completion = await _unless_gone(request, personalize.complete(downstream, prompt, sampling))
    if completion is None:
        return Response(status_code=499)
    return {
        **_profile_used(prompt),
        "output": completion.text,
        "finish_reason": completion.finish_reason,
        "usage": _usage(completion.usage),
        "model": downstream.model,
    }


async def _prompt(body: PromptIn, project_id: str, runtime: Runtime) -> PersonalizedPrompt:
    settings = runtime.settings
    return await personalize.personalized_prompt(
        runtime.reader,
        project_id,
        body.user_id,
        body.as_messages(),
        max_tokens=body.max_tokens or settings.downstream_max_tokens,
        limits=PromptLimits(
            profile=settings.prompt_profile_tokens, context=settings.downstream_context
        ),
    )


def _sampling(body: PersonalizeIn, runtime: Runtime) -> Sampling:
    if any(not stop or len(stop) > 100 for stop in body.stop):
        raise InvalidField(("stop", "every entry needs 1 to 100 characters"))
    return Sampling(
        max_tokens=body.max_tokens or runtime.settings.downstream_max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        stop=tuple(body.stop),
        seed=body.seed,
    )


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


async def _next(deltas: AsyncIterator[Delta]) -> Delta | None:
    return await anext(deltas, None)


async def _server_sent_events(
    prompt: PersonalizedPrompt,
    first: Delta | None,
    deltas: AsyncGenerator[Delta, None],
    drain: Drain,
) -> AsyncIterator[bytes]:
    yield _event("profile", _profile_used(prompt))
    finish_reason, usage = None, None
    try:
        # Closed with us, so that a client that leaves takes the upstream call along.
        async with aclosing(deltas):
            delta = first
            while delta is not None:
                if delta.text:
                    yield _event("delta", {"text": delta.text})
                finish_reason = delta.finish_reason or finish_reason
                usage = delta.usage or usage
                async with drain.limit():
                    delta = await _next(deltas)
    except BumpError as error:
        yield _event("error", problem_document(error))
        return
    yield _event("done", {"finish_reason": finish_reason, "usage": _usage(usage)})


def _event(name: str, data: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(data))


async def _unless_gone(request: Request, work: Coroutine[Any, Any, Result]) -> Result | None:
    """The result of `work`, or None after cancelling it because the client has left."""
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        return None
    finally:
        leaving.cancel()
        working.cancel()
        await asyncio.gather(leaving, working, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
