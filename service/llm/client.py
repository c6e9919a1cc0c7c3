"""A client for any OpenAI-compatible chat endpoint: deadlines, bounded retries, bounded answers."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

import httpx2
import orjson

from service.domain.prompts import Message
from service.errors import DownstreamFailed, DownstreamTimedOut
from service.telemetry import DOWNSTREAM_FIRST_TOKEN, DOWNSTREAM_SECONDS

_ATTEMPTS = 3
_RETRY_PAUSE_SECONDS = 0.2
_RETRIABLE_STATUS = {429, 500, 502, 503, 504}
_MAX_ANSWER_BYTES = 4_000_000
_CONNECT_SECONDS = 5.0
# How long a call waits for one of the connections before it is refused.
_POOL_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Sampling:
    """Generation parameters; None leaves the endpoint's default.

    `json_schema` makes the answer a JSON document of that schema (structured output).
    """

    max_tokens: int
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    json_schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Completion:
    text: str
    finish_reason: str | None
    usage: Usage | None


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a streamed answer. The last one has a finish reason, and usage where known."""

    text: str
    finish_reason: str | None = None
    usage: Usage | None = None


class RetryBudget:
    """Lets retries add at most a tenth to the traffic, so an outage is not made worse."""

    def __init__(self, share: float = 0.1, reserve: float = 3.0) -> None:
        self._share = share
        self._reserve = reserve
        self._saved = reserve

    def earn(self) -> None:
        self._saved = min(self._reserve, self._saved + self._share)

    def spend(self) -> bool:
        if self._saved < 1:
            return False
        self._saved -= 1
        return True


class ChatClient:
    """One endpoint and model. Bodies are built here from known fields, never passed through."""

    def __init__(
        self,
        *,
        base_url: str,
        model: str,
        api_key: str | None,
        deadline: float,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self.model = model
        self._deadline = deadline
        self._budget = RetryBudget()
        self._http = httpx2.AsyncClient(
            base_url=base_url.rstrip("/"),
            headers=headers,
            timeout=httpx2.Timeout(deadline, connect=_CONNECT_SECONDS, pool=_POOL_SECONDS),
            limits=httpx2.Limits(max_connections=256, max_keepalive_connections=32),
            transport=transport,
            trust_env=False,
        )

    async def complete(self, messages: Sequence[Message], sampling: Sampling) -> Completion:
        """The whole answer. Raises DownstreamFailed or DownstreamTimedOut."""
        async with self._measured(), self._open(messages, sampling, stream=False) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _MAX_ANSWER_BYTES:
                    raise DownstreamFailed("The downstream model's answer is too large.")
            return _completion(bytes(body))

    async def stream(
        self, messages: Sequence[Message], sampling: Sampling
    ) -> AsyncGenerator[Delta, None]:
        """The answer piece by piece; the whole call, not each piece, has the deadline.

        Raises DownstreamFailed, also when the stream ends before the model said it was done, or
        DownstreamTimedOut. Closing the iterator aborts the upstream call.
        """
        started = monotonic()
        ends_at = started + self._deadline
        first = True
        async with self._measured(), self._open(messages, sampling, stream=True) as response:
            events = _events(response)
            while True:
                try:
                    async with asyncio.timeout(ends_at - monotonic()):
                        delta = await anext(events, None)
                except TimeoutError:
                    raise self._timed_out() from None
                if delta is None:
                    return
                if first:
                    DOWNSTREAM_FIRST_TOKEN.observe(monotonic() - started)
                    first = False
                yield delta

    async def close(self) -> None:
        await self._http.aclose()

    @asynccontextmanager
    async def _measured(self) -> AsyncIterator[None]:
        started = monotonic()
        outcome = "cancelled"
        try:
            yield
            outcome = "ok"
        except (DownstreamFailed, DownstreamTimedOut):
            outcome = "failed"
            raise
        finally:
            DOWNSTREAM_SECONDS.labels(outcome).observe(monotonic() - started)

    @asynccontextmanager
    async def _open(
        self, messages: Sequence[Message], sampling: Sampling, *, stream: bool
    ) -> AsyncIterator[httpx2.Response]:
        """A successful response whose body is yet to be read; retried until then only."""
        body = _request_body(self.model, messages, sampling, stream=stream)
        try:
            async with asyncio.timeout(self._deadline):
                response = await self._send(body)
                if not stream:
                    try:
                        yield response
                    finally:
                        await response.aclose()
                    return
        except TimeoutError:
            raise self._timed_out() from None
        except httpx2.HTTPError as error:
            raise DownstreamFailed(
                f"The downstream model could not be reached ({type(error).__name__})."
            ) from error
        try:
            yield response
        except httpx2.HTTPError as error:
            raise DownstreamFailed(
                f"The downstream model broke off ({type(error).__name__})."
            ) from error
        finally:
            await response.aclose()

    async def _send(self, body: bytes) -> httpx2.Response:
        self._budget.earn()
        for attempt in range(1, _ATTEMPTS + 1):
            last = attempt == _ATTEMPTS
            request = self._http.build_request(
                "POST",
                "/chat/completions",
                content=body,
                headers={"Content-Type": "application/json"},
            )
            try:
                response = await self._http.send(request, stream=True)
            except httpx2.TransportError:
                if last or not self._budget.spend():
                    raise
            else:
                if response.status_code < 300:
                    return response
                await response.aclose()
                retriable = response.status_code in _RETRIABLE_STATUS
                if last or not retriable or not self._budget.spend():
                    raise DownstreamFailed(
                        f"The downstream model answered {response.status_code}.",
                        downstream_status=response.status_code,
                    )
            await asyncio.sleep(_RETRY_PAUSE_SECONDS * attempt)
        raise AssertionError("the last attempt returns or raises")

    def _timed_out(self) -> DownstreamTimedOut:
        return DownstreamTimedOut(
            f"The downstream model did not finish within {self._deadline:g} seconds."
        )


def _request_body(
    model: str, messages: Sequence[Message], sampling: Sampling, *, stream: bool
) -> bytes:
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": m.role, "content": m.content} for m in messages],
        "max_tokens": sampling.max_tokens,
    }
    if sampling.temperature is not None:
        body["temperature"] = sampling.temperature
    if sampling.top_p is not None:
        body["top_p"] = sampling.top_p
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    if sampling.json_schema is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": sampling.json_schema},
        }
    if stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    return orjson.dumps(body)


def _completion(body: bytes) -> Completion:
    try:
        document = orjson.loads(body)
        choice = document["choices"][0]
        return Completion(
            text=_expect(str, choice["message"]["content"] or ""),
            finish_reason=_expect(str | None, choice.get("finish_reason")),
            usage=_usage(document),
        )
    except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError) as error:
        raise DownstreamFailed("The downstream model's answer is not a chat completion.") from error


def _usage(document: Mapping[str, Any]) -> Usage | None:
    usage = document.get("usage")
    if not usage:
        return None
    return Usage(_expect(int, usage["prompt_tokens"]), _expect(int, usage["completion_tokens"]))


def _expect(kind: Any, value: Any) -> Any:
    """`value`, or TypeError: what the endpoint says goes on to callers under these types."""
    if not isinstance(value, kind):
        raise TypeError
    return value


async def _events(response: httpx2.Response) -> AsyncIterator[Delta]:
    """The deltas of a server-sent event stream, up to its `[DONE]` (WHATWG HTML, section 9.2)."""
    async for line in _lines(response):
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            return
        delta = _delta(data)
        if delta is not None:
            yield delta
    raise DownstreamFailed("The downstream model's stream ended before it was done.")


async def _lines(response: httpx2.Response) -> AsyncIterator[bytes]:
    # Not `aiter_lines`, which holds whatever comes without a line break.
    received, rest = 0, b""
    async for chunk in response.aiter_bytes():
        received += len(chunk)
        if received > _MAX_ANSWER_BYTES:
            raise DownstreamFailed("The downstream model's answer is too large.")
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
    yield rest


def _delta(data: bytes) -> Delta | None:
    try:
        document = orjson.loads(data)
        if "error" in document:
            raise DownstreamFailed("The downstream model reported an error in its stream.")
        choices = document.get("choices") or [{}]
        delta = Delta(
            text=_expect(str, (choices[0].get("delta") or {}).get("content") or ""),
            finish_reason=_expect(str | None, choices[0].get("finish_reason")),
            usage=_usage(document),
        )
    except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError) as error:
        raise DownstreamFailed("The downstream model's stream is not readable.") from error
    return delta if delta != Delta("") else None
