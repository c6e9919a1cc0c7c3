"""The downstream client against endpoints that fail: every fault is made at the transport."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

import httpx2
import pytest

from service.domain.prompts import Message
from service.errors import DownstreamFailed, DownstreamTimedOut
from service.llm.client import ChatClient, Completion, Delta, Sampling, Usage

MESSAGES = (Message("system", "Be brief."), Message("user", "What should I bake?"))
SAMPLING = Sampling(max_tokens=16)
ANSWER: dict[str, Any] = {
    "choices": [{"message": {"role": "assistant", "content": "Bread."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 2},
}
DONE = b"data: [DONE]\n\n"
# Over the limit of an answer, in pieces.
FLOOD = (b" " * 1_000_000,) * 5

Endpoint = Callable[[httpx2.Request], httpx2.Response | Awaitable[httpx2.Response]]


class Stream(httpx2.AsyncByteStream):
    """A body that comes in pieces: bytes, or an error to raise, or None to hang for ever."""

    def __init__(self, *pieces: bytes | Exception | None) -> None:
        self._pieces = pieces
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            if piece is None:
                await asyncio.Event().wait()
            elif isinstance(piece, Exception):
                raise piece
            else:
                yield piece

    async def aclose(self) -> None:
        self.closed = True


class Drip(Stream):
    """Says something again and again, and never ends."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.005)
            yield delta("and ")


class Recorder:
    """An endpoint that answers from a list, the last entry for ever, and keeps the requests."""

    def __init__(self, *answers: httpx2.Response | Exception) -> None:
        self._answers = answers
        self.requests: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        answer = self._answers[min(len(self.requests), len(self._answers) - 1)]
        self.requests.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer


def chat_client(endpoint: Endpoint, **options: Any) -> ChatClient:
    return ChatClient(
        **{
            "base_url": "http://model.test/v1/",
            "model": "tiny",
            "api_key": None,
            "deadline": 30,
            "transport": httpx2.MockTransport(endpoint),
            **options,
        }
    )


def answer(status: int = 200, **changes: Any) -> httpx2.Response:
    return httpx2.Response(status, json=ANSWER | changes)


def streaming(*pieces: bytes | Exception | None) -> tuple[httpx2.Response, Stream]:
    stream = Stream(*pieces)
    return httpx2.Response(200, stream=stream), stream


def delta(text: str, **choice: Any) -> bytes:
    document = {"choices": [{"delta": {"content": text}, **choice}]}
    return b"data: " + json.dumps(document).encode() + b"\n\n"


async def deltas(client: ChatClient) -> list[Delta]:
    return [piece async for piece in client.stream(MESSAGES, SAMPLING)]


async def test_an_answer_has_its_text_reason_and_usage() -> None:
    completion = await chat_client(Recorder(answer())).complete(MESSAGES, SAMPLING)
    assert completion == Completion("Bread.", "stop", Usage(12, 2))


async def test_only_known_fields_are_sent() -> None:
    endpoint = Recorder(answer())
    await chat_client(endpoint, api_key="k").complete(MESSAGES, SAMPLING)
    (request,) = endpoint.requests
    assert str(request.url) == "http://model.test/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer k"
    assert json.loads(request.content) == {
        "model": "tiny",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What should I bake?"},
        ],
        "max_tokens": 16,
    }


async def test_every_sampling_parameter_is_sent_by_its_name() -> None:
    response, _ = streaming(DONE)
    endpoint = Recorder(response)
    schema = {"type": "object"}
    sampling = Sampling(9, temperature=0, top_p=0.5, stop=("\n",), seed=3, json_schema=schema)
    client = chat_client(endpoint)
    assert [piece async for piece in client.stream(MESSAGES, sampling)] == []
    body = json.loads(endpoint.requests[0].content)
    del body["messages"]
    assert body == {
        "model": "tiny",
        "max_tokens": 9,
        "temperature": 0,
        "top_p": 0.5,
        "stop": ["\n"],
        "seed": 3,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": schema},
        },
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(
    "fault",
    [*map(httpx2.Response, (429, 500, 502, 503, 504)), httpx2.ConnectError("refused")],
    ids=repr,
)
async def test_a_passing_fault_is_retried(fault: httpx2.Response | Exception) -> None:
    endpoint = Recorder(fault, answer())
    completion = await chat_client(endpoint).complete(MESSAGES, SAMPLING)
    assert completion.text == "Bread."
    assert len(endpoint.requests) == 2


async def test_after_three_attempts_the_last_fault_is_reported() -> None:
    endpoint = Recorder(answer(503))
    with pytest.raises(DownstreamFailed, match="503") as caught:
        await chat_client(endpoint).complete(MESSAGES, SAMPLING)
    assert len(endpoint.requests) == 3
    assert caught.value.extensions == {"downstream_status": 503}


async def test_an_outage_costs_a_tenth_more_calls_at_most() -> None:
    endpoint = Recorder(httpx2.ConnectError("refused"))
    client = chat_client(endpoint)
    calls = [client.complete(MESSAGES, SAMPLING) for _ in range(100)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {DownstreamFailed}
    reserve = 3
    assert 100 < len(endpoint.requests) <= 110 + reserve


@pytest.mark.parametrize("status", [301, 400, 401, 404, 422])
async def test_a_refusal_is_not_retried(status: int) -> None:
    endpoint = Recorder(httpx2.Response(status, headers={"Location": "http://evil.test"}))
    with pytest.raises(DownstreamFailed, match=str(status)):
        await chat_client(endpoint).complete(MESSAGES, SAMPLING)
    assert len(endpoint.requests) == 1


async def test_nothing_is_retried_after_the_first_byte() -> None:
    response, stream = streaming(b'{"choi', httpx2.ReadError("reset"))
    endpoint = Recorder(response, answer())
    with pytest.raises(DownstreamFailed, match="ReadError"):
        await chat_client(endpoint).complete(MESSAGES, SAMPLING)
    assert len(endpoint.requests) == 1
    assert stream.closed


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"7",
        b"{}",
        b'{"choices": []}',
        b'{"choices": [{"message": "Bread."}]}',
        b'{"choices": [{"message": {"content": ["Bread."]}}]}',
        b'{"choices": [{"message": {"content": "Bread."}, "finish_reason": 7}]}',
        b'{"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": "many"}}',
        b'{"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": 1}}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
async def test_an_answer_that_is_no_chat_completion_is_a_failure(body: bytes) -> None:
    client = chat_client(Recorder(httpx2.Response(200, content=body)))
    with pytest.raises(DownstreamFailed, match="not a chat completion"):
        await client.complete(MESSAGES, SAMPLING)


async def test_an_answer_without_text_or_usage_is_an_empty_one() -> None:
    choices = [{"message": {"content": None}, "finish_reason": "length"}]
    client = chat_client(Recorder(answer(choices=choices, usage=None)))
    assert await client.complete(MESSAGES, SAMPLING) == Completion("", "length", None)


async def test_an_oversized_answer_is_cut_off() -> None:
    response, stream = streaming(*FLOOD, None)
    with pytest.raises(DownstreamFailed, match="too large"):
        await chat_client(Recorder(response)).complete(MESSAGES, SAMPLING)
    assert stream.closed


async def test_a_stream_gives_its_pieces_and_the_usage() -> None:
    usage = b'data: {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}\r\n\r\n'
    response, _ = streaming(
        b": hello\n\n", delta("Sour"), delta("dough", finish_reason="stop"), usage, DONE
    )
    assert await deltas(chat_client(Recorder(response))) == [
        Delta("Sour"),
        Delta("dough", "stop"),
        Delta("", None, Usage(9, 2)),
    ]


async def test_a_stream_may_be_cut_anywhere_by_the_network() -> None:
    whole = delta("Sauerteig für Ösi ") + delta("🥖") + DONE.rstrip()
    response, _ = streaming(*(whole[n : n + 1] for n in range(len(whole))))
    pieces = await deltas(chat_client(Recorder(response)))
    assert [piece.text for piece in pieces] == ["Sauerteig für Ösi ", "🥖"]


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        ((delta("Sour"),), "ended before"),
        ((delta("Sour"), httpx2.RemoteProtocolError("cut")), "broke off"),
        ((delta("Sour"), b"data: {not json\n\n"), "not readable"),
        ((delta("Sour"), b"data: []\n\n"), "not readable"),
        ((b'data: {"choices": [{"delta": {"content": 7}}]}\n\n',), "not readable"),
        ((b'data: {"choices": {"0": 1}}\n\n',), "not readable"),
        ((delta("Sour"), b'data: {"error": {"message": "canary"}}\n\n'), "reported an error"),
        (FLOOD, "too large"),
        ((delta("x" * 1_000_000),) * 5, "too large"),
    ],
)
async def test_a_stream_that_does_not_end_well_is_a_failure(
    pieces: Sequence[bytes | Exception], reason: str
) -> None:
    response, stream = streaming(*pieces)
    with pytest.raises(DownstreamFailed, match=reason) as caught:
        await deltas(chat_client(Recorder(response)))
    assert "canary" not in caught.value.detail
    assert stream.closed


async def test_a_stream_is_retried_before_its_first_byte() -> None:
    response, _ = streaming(delta("Bread."), DONE)
    endpoint = Recorder(httpx2.Response(503), response)
    assert [piece.text for piece in await deltas(chat_client(endpoint))] == ["Bread."]
    assert len(endpoint.requests) == 2


async def test_the_deadline_bounds_a_stream_that_drips_for_ever() -> None:
    stream = Drip()
    client = chat_client(Recorder(httpx2.Response(200, stream=stream)), deadline=0.1)
    received = []
    with pytest.raises(DownstreamTimedOut, match=r"0\.1 seconds"):
        async for piece in client.stream(MESSAGES, SAMPLING):
            received.append(piece)
    assert received
    assert stream.closed


@pytest.mark.parametrize("stream", [False, True])
async def test_the_deadline_bounds_an_endpoint_that_never_answers(stream: bool) -> None:
    async def hang(_: httpx2.Request) -> httpx2.Response:
        await asyncio.Event().wait()
        raise AssertionError

    client = chat_client(hang, deadline=0.05)
    with pytest.raises(DownstreamTimedOut):
        await (deltas(client) if stream else client.complete(MESSAGES, SAMPLING))


async def test_the_deadline_bounds_an_answer_whose_body_hangs() -> None:
    response, body = streaming(b'{"choices": ', None)
    with pytest.raises(DownstreamTimedOut):
        await chat_client(Recorder(response), deadline=0.05).complete(MESSAGES, SAMPLING)
    assert body.closed


async def test_the_deadline_bounds_the_retries_too() -> None:
    endpoint = Recorder(httpx2.Response(503))
    with pytest.raises(DownstreamTimedOut):
        await chat_client(endpoint, deadline=0.05).complete(MESSAGES, SAMPLING)


async def test_closing_the_iterator_closes_the_upstream_response() -> None:
    response, stream = streaming(delta("Sour"), None)
    async with aclosing(chat_client(Recorder(response)).stream(MESSAGES, SAMPLING)) as pieces:
        assert (await anext(pieces)).text == "Sour"
        assert not stream.closed
    assert stream.closed


@pytest.mark.parametrize("streamed", [False, True])
async def test_cancellation_closes_the_upstream_response(streamed: bool) -> None:
    response, stream = streaming(delta("Sour"), None)
    asked = asyncio.Event()

    def endpoint(_: httpx2.Request) -> httpx2.Response:
        asked.set()
        return response

    client = chat_client(endpoint)
    work = deltas(client) if streamed else client.complete(MESSAGES, SAMPLING)
    task: asyncio.Task[Any] = asyncio.create_task(work)
    await asked.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stream.closed
