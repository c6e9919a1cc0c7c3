"""`/v1/personalize` against endpoints that break: real sockets that say a little and then fail."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx2
import pytest

from service.worker import Worker
from tests.integration.api.calls import problem, write_profile
from tests.integration.api.conftest import ClientWith

ASK = {"user_id": "ana", "input": "What should I bake?"}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nConnection: close\r\n\r\n"
STREAM_HEAD = HEAD % b"text/event-stream"
DELTA = b'data: {"choices": [{"delta": {"content": "Sourdough"}}]}\n\n'

Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]
Failing = Callable[..., AbstractAsyncContextManager[httpx2.AsyncClient]]


@pytest.fixture
def with_downstream(client_with: ClientWith) -> Failing:
    """A client of an application whose downstream model behaves like this."""

    @asynccontextmanager
    async def open_client(
        behaviour: Behaviour, **settings: object
    ) -> AsyncIterator[httpx2.AsyncClient]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            await behaviour(writer)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}/v1"
        async with (
            server,
            client_with(downstream_url=url, downstream_model="tiny", **settings) as client,
        ):
            yield client

    return open_client


def events_of(response: httpx2.Response) -> list[tuple[str, dict[str, Any]]]:
    """The (event, data) pairs of a server-sent event stream."""
    assert response.headers["content-type"].startswith("text/event-stream")
    found = []
    for block in response.text.strip().split("\n\n"):
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def saying(*pieces: bytes) -> Behaviour:
    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.writelines(pieces)
        await writer.drain()

    return behave


async def hang(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3)


async def drip(writer: asyncio.StreamWriter) -> None:
    writer.write(STREAM_HEAD)
    while not writer.is_closing():
        writer.write(DELTA)
        await writer.drain()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_dead_downstream_is_a_502(client_with: ClientWith, stream: bool) -> None:
    async with client_with(
        downstream_url="http://127.0.0.1:1/v1", downstream_model="tiny"
    ) as client:
        response = await client.post("/v1/personalize", json={**ASK, "stream": stream})
    problem(response, 502, "downstream-failed")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_downstream_that_hangs_is_a_504(with_downstream: Failing, stream: bool) -> None:
    async with with_downstream(hang, downstream_timeout=0.2) as client:
        response = await client.post("/v1/personalize", json={**ASK, "stream": stream})
    problem(response, 504, "downstream-timed-out")


async def test_a_downstream_that_answers_nonsense_is_a_502(with_downstream: Failing) -> None:
    nonsense = saying(HEAD % b"application/json", b'{"choices": [{"message": {"content": 7}}]}')
    async with with_downstream(nonsense) as client:
        response = await client.post("/v1/personalize", json=ASK)
    problem(response, 502, "downstream-failed")


async def test_a_stream_that_is_cut_ends_with_an_error_event(
    client: httpx2.AsyncClient, worker: Worker, with_downstream: Failing
) -> None:
    await write_profile(client, worker)
    async with with_downstream(saying(STREAM_HEAD, DELTA)) as failing:
        response = await failing.post("/v1/personalize", json={**ASK, "stream": True})
    profile, delta, error = events_of(response)
    assert profile == (
        "profile",
        {"profile_version": 1, "profile_revision": 1, "profile_stale": False},
    )
    assert delta == ("delta", {"text": "Sourdough"})
    assert error[0] == "error"
    assert error[1]["type"] == "https://bump.dev/problems/downstream-failed"
    assert error[1]["status"] == 502


async def test_a_stream_that_drips_for_ever_ends_at_the_deadline(with_downstream: Failing) -> None:
    async with with_downstream(drip, downstream_timeout=0.3) as client:
        response = await client.post("/v1/personalize", json={**ASK, "stream": True})
    (_, *deltas, error) = events_of(response)
    assert {name for name, _ in deltas} == {"delta"}
    assert error[1]["type"] == "https://bump.dev/problems/downstream-timed-out"


async def test_a_whole_stream_ends_with_done(with_downstream: Failing) -> None:
    last = (
        b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n'
        b'data: {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 1}}\n\n'
        b"data: [DONE]\n\n"
    )
    async with with_downstream(saying(STREAM_HEAD, DELTA, last)) as client:
        response = await client.post("/v1/personalize", json={**ASK, "stream": True})
    assert events_of(response)[1:] == [
        ("delta", {"text": "Sourdough"}),
        (
            "done",
            {"finish_reason": "stop", "usage": {"prompt_tokens": 9, "completion_tokens": 1}},
        ),
    ]


@pytest.mark.parametrize("changes", [{"stop": [""]}, {"stop": ["x" * 101]}, {"temperature": 3}])
async def test_sampling_out_of_bounds_is_refused_before_the_call(
    with_downstream: Failing, changes: dict[str, Any]
) -> None:
    async with with_downstream(hang) as client:
        response = await client.post("/v1/personalize", json={**ASK, **changes})
    problem(response, 422, "invalid-field")
