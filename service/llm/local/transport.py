"""OpenAI's chat completions, answered by an engine in this process instead of over a network."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import httpx2
import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from uuid_utils.compat import uuid7

from service.llm.local.engine import Engine, GenerationFailed, seeded
from service.llm.local.sampling import Sampler

# Where a client of a `LocalTransport` sends its requests: no other host is ever asked.
LOCAL_URL = "http://local/v1"
_DEFAULT_MAX_TOKENS = 256
_DONE = b"data: [DONE]\n\n"


class Text(Protocol):
    """Text that grows by tokens."""

    def add(self, token: int) -> str: ...


class Chats(Protocol):
    """A `ChatTokenizer`, or that of another model."""

    end_of_turn: int

    def prompt(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Raises ValueError for a chat that the model's template refuses."""
        ...

    def count(self, text: str) -> int: ...

    def growing_text(self) -> Text: ...


class _TextPart(BaseModel):
    model_config = ConfigDict(extra="forbid")

    type: Literal["text"]
    text: str


class _Message(BaseModel):
    """Text and nothing else: such a model sees no images and calls no tools."""

    model_config = ConfigDict(extra="forbid")

    role: str
    content: str | list[_TextPart]
    name: str | None = None

    def plain(self) -> dict[str, str]:
        if isinstance(self.content, str):
            return {"role": self.role, "content": self.content}
        return {"role": self.role, "content": "".join(part.text for part in self.content)}


class _Request(BaseModel):
    """What of OpenAI's fields such a model can do; another one is refused by its name."""

    model_config = ConfigDict(extra="forbid")

    model: str
    messages: list[_Message] = Field(min_length=1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float = Field(0.0, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    seed: int | None = Field(None, ge=0)
    stop: str | list[str] | None = None
    n: int = Field(1, ge=1, le=1)
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    # Accepted and without effect: who asks says who they are, and that others may go first.
    user: str | None = None
    safety_identifier: str | None = None
    cache_salt: str | None = None
    priority: int | None = None

    @property
    def stops(self) -> list[str]:
        return [self.stop] if isinstance(self.stop, str) else list(self.stop or [])


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some more of an answer; the last one says why it ends."""

    text: str
    tokens: int
    finish_reason: str | None = None


class LocalTransport(httpx2.AsyncBaseTransport):
    """Answers `POST …/chat/completions`; whatever else is asked, 404."""

    def __init__(self, model: str, engine: Engine, tokenizer: Chats) -> None:
        self._model = model
        self._engine = engine
        self._tokenizer = tokenizer

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method != "POST" or not request.url.path.endswith("/chat/completions"):
            return _refusal(404, "not_found", "path")
        try:
            asked = _Request.model_validate_json(await request.aread())
        except ValidationError as error:
            return _refusal(400, "unsupported_parameter", _where(error))
        try:
            prompt = self._tokenizer.prompt([message.plain() for message in asked.messages])
        except ValueError:
            return _refusal(400, "invalid_messages", "messages")
        room = self._engine.context - len(prompt)
        if room < 1:
            return _refusal(400, "context_length_exceeded", "messages")
        wanted = asked.max_completion_tokens or asked.max_tokens or _DEFAULT_MAX_TOKENS
        pieces = self._pieces(prompt, min(wanted, room), asked)
        if asked.stream:
            events = self._events(pieces, len(prompt), asked)
            headers = {"Content-Type": "text/event-stream"}
            return httpx2.Response(200, headers=headers, stream=_Stream(events))
        return httpx2.Response(200, json=await self._whole(pieces, len(prompt)))

    async def aclose(self) -> None:
        self._engine.close()

    async def _pieces(
        self, prompt: list[int], most: int, asked: _Request
    ) -> AsyncGenerator[_Piece, None]:
        text = self._tokenizer.growing_text()
        held = HeldBack(asked.stops)
        sampler = seeded(asked.temperature, asked.top_p, asked.seed)
        count = 0
        async with aclosing(self._tokens(prompt, most, sampler)) as tokens:
            async for token in tokens:
                count += 1
                if token == self._tokenizer.end_of_turn:
                    yield _Piece(held.rest(), count, "stop")
                    return
                ready = held.add(text.add(token))
                if held.stopped:
                    yield _Piece(ready, count, "stop")
                    return
                if ready:
                    yield _Piece(ready, count)
        yield _Piece(held.rest(), count, "length")

    async def _tokens(
        self, prompt: list[int], most: int, sampler: Sampler
    ) -> AsyncGenerator[int, None]:
        """The engine's; that it failed is told as a client hears of a server that broke off."""
        try:
            async with aclosing(self._engine.tokens(prompt, most, sampler)) as tokens:
                async for token in tokens:
                    yield token
        except GenerationFailed as error:
            raise httpx2.ReadError(str(error)) from error

    async def _whole(
        self, pieces: AsyncGenerator[_Piece, None], prompt_tokens: int
    ) -> dict[str, Any]:
        texts, last = [], _Piece("", 0)
        async with aclosing(pieces):
            async for last in pieces:
                texts.append(last.text)
        message = {"role": "assistant", "content": "".join(texts)}
        choice = {"index": 0, "message": message, "finish_reason": last.finish_reason}
        usage = _usage(prompt_tokens, last.tokens)
        return self._document("chat.completion") | {"choices": [choice], "usage": usage}

    async def _events(
        self, pieces: AsyncGenerator[_Piece, None], prompt_tokens: int, asked: _Request
    ) -> AsyncGenerator[bytes, None]:
        document = self._document("chat.completion.chunk")
        yield _event(document | {"choices": [_delta({"role": "assistant", "content": ""})]})
        last = _Piece("", 0)
        async with aclosing(pieces):
            async for last in pieces:
                delta = _delta({"content": last.text}, last.finish_reason)
                yield _event(document | {"choices": [delta]})
        if (asked.stream_options or {}).get("include_usage"):
            usage = _usage(prompt_tokens, last.tokens)
            yield _event(document | {"choices": [], "usage": usage})
        yield _DONE

    def _document(self, kind: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{uuid7().hex}",
            "object": kind,
            "created": int(time.time()),
            "model": self._model,
        }


class HeldBack:
    """Text on its way out: what may be the beginning of a stop is held back until it is known."""

    def __init__(self, stops: list[str]) -> None:
        self.stopped = False
        self._stops = [stop for stop in stops if stop]
        self._text = ""

    def add(self, text: str) -> str:
        """What can go out; all before the first stop, once there is one."""
        self._text += text
        found = [place for stop in self._stops if (place := self._text.find(stop)) >= 0]
        if found:
            self.stopped = True
            return self._take(min(found))
        return self._take(len(self._text) - self._beginning())

    def rest(self) -> str:
        return self._take(len(self._text))

    def _beginning(self) -> int:
        """How many characters at the end are the beginning of a stop."""
        return max(
            (
                length
                for stop in self._stops
                for length in range(1, len(stop))
                if self._text.endswith(stop[:length])
            ),
            default=0,
        )

    def _take(self, length: int) -> str:
        taken, self._text = self._text[:length], self._text[length:]
        return taken


class _Stream(httpx2.AsyncByteStream):
    """Events that end with their reader."""

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        self._events = events

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._events

    async def aclose(self) -> None:
        await self._events.aclose()


def _delta(delta: Mapping[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish_reason}


def _usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def _event(document: Mapping[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(document) + b"\n\n"


def _where(error: ValidationError) -> str:
    """The field at fault; of a message no more than its own field."""
    return ".".join(str(part) for part in error.errors()[0]["loc"][:3]) or "body"


def _refusal(status: int, code: str, param: str) -> httpx2.Response:
    said = f"bump's local model cannot do that: {param}"
    error = {"message": said, "type": "invalid_request_error", "param": param, "code": code}
    return httpx2.Response(status, json={"error": error})
