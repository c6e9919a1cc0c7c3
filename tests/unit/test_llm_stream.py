"""Streamed answers of the downstream model: whole, cut, broken, endless, left."""

from collections.abc import Sequence
from contextlib import aclosing

import httpx2
import pytest

from service.errors import DownstreamFailed, DownstreamTimedOut
from service.llm.client import Delta, Usage
from tests.unit.llm_endpoint import (
    DONE,
    FLOOD,
    MESSAGES,
    SAMPLING,
    Drip,
    Recorder,
    chat_client,
    delta,
    deltas,
    streaming,
)


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


async def test_closing_the_iterator_closes_the_upstream_response() -> None:
    response, stream = streaming(delta("Sour"), None)
    async with aclosing(chat_client(Recorder(response)).stream(MESSAGES, SAMPLING)) as pieces:
        assert (await anext(pieces)).text == "Sour"
        assert not stream.closed
    assert stream.closed
