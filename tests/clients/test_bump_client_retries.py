"""What our own client tries again, what it does not, and for how long."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any

import httpx2
import pytest

from bump_client import (
    ConnectionFailed,
    DeadlineExceeded,
    DownstreamError,
    Interaction,
    LimitReached,
    ProblemError,
    Unavailable,
    UnexpectedAnswer,
)
from tests.clients.either_client import either_client, exported, streamed

PROBLEMS = "https://bump.dev/problems/"
STORED = {"accepted": 0, "duplicates": 0, "rejected": 0, "results": [], "users": []}
USAGE = {"counted": True, "windows": {}}
ANSWER = {
    "profile_version": None,
    "profile_revision": None,
    "profile_stale": None,
    "output": "Bread.",
    "finish_reason": "stop",
    "usage": None,
    "model": "tiny",
}
NOT_SENT = [httpx2.ConnectError("refused"), httpx2.ConnectTimeout("slow")]
PERHAPS_SENT = [httpx2.ReadError("reset"), httpx2.RemoteProtocolError("closed")]


class Scripted:
    """An API that gives these outcomes one after the other, the last one for ever."""

    def __init__(self, *outcomes: httpx2.Response | Exception) -> None:
        self.requests: list[httpx2.Request] = []
        self._outcomes = outcomes

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        outcome = self._outcomes[min(len(self.requests), len(self._outcomes) - 1)]
        self.requests.append(request)
        if isinstance(outcome, Exception):
            raise outcome
        return httpx2.Response(
            outcome.status_code, headers=outcome.headers, content=outcome.content
        )


def answer(document: Any) -> httpx2.Response:
    return httpx2.Response(200, json=document)


def problem(status: int, slug: str, **headers: str) -> httpx2.Response:
    document = {"type": PROBLEMS + slug, "title": "No", "status": status, "detail": "Not now."}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.Response(status, json=document, headers=named)


@contextmanager
def unfinished_answer(head: bytes = b"", *, drip: bytes = b"") -> Iterator[str]:
    """The address of a server that says `head`, then a `drip` every 50 ms, and never ends."""
    ended = threading.Event()

    def serve(listener: socket.socket) -> None:
        while not ended.is_set():
            with suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65_536)
                    connection.sendall(head)
                    while not ended.wait(0.05):
                        connection.sendall(drip)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            ended.set()
            server.join()


@pytest.mark.parametrize(
    "failure", [*NOT_SENT, *PERHAPS_SENT, problem(503, "unavailable"), httpx2.Response(502)]
)
async def test_a_batch_is_sent_again_under_the_same_key(
    kind: str, failure: httpx2.Response | Exception
) -> None:
    api = Scripted(failure, failure, answer(STORED))
    async with either_client(kind, transport=httpx2.MockTransport(api)) as bump:
        await bump.add_interactions([Interaction(user_id="ana", text="Bread.")])
    keys = [request.headers["idempotency-key"] for request in api.requests]
    assert len(keys) == 3 and len(set(keys)) == 1
    assert len({request.content for request in api.requests}) == 1


async def test_every_batch_has_a_key_of_its_own(kind: str) -> None:
    api = Scripted(answer(STORED))
    async with either_client(kind, transport=httpx2.MockTransport(api)) as bump:
        await bump.add_interactions(Interaction(user_id="ana", text="x") for _ in range(1_001))
    assert len({request.headers["idempotency-key"] for request in api.requests}) == 2


@pytest.mark.parametrize("failure", NOT_SENT)
async def test_a_model_is_asked_again_where_nothing_was_sent(kind: str, failure: Exception) -> None:
    api = Scripted(failure, answer(ANSWER))
    async with either_client(kind, transport=httpx2.MockTransport(api)) as bump:
        assert (await bump.personalize("ana", "Hello")).output == "Bread."


@pytest.mark.parametrize("failure", PERHAPS_SENT)
async def test_a_model_is_not_asked_twice(kind: str, failure: Exception) -> None:
    api = Scripted(failure)
    async with either_client(kind, transport=httpx2.MockTransport(api)) as bump:
        with pytest.raises(ConnectionFailed) as failed:
            await bump.personalize("ana", "Hello")
    assert failed.value.sent
    assert len(api.requests) == 1


async def test_what_is_refused_for_good_is_raised_at_once(kind: str) -> None:
    api = Scripted(problem(503, "downstream-not-configured"))
    async with either_client(kind, transport=httpx2.MockTransport(api)) as bump:
        with pytest.raises(Unavailable, match="Not now"):
            await bump.personalize("ana", "Hello")
    assert len(api.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 409, 413, 422, 500])
async def test_so_is_what_would_fail_again(kind: str, status: int) -> None:
    api = Scripted(problem(status, "some"))
    async with either_client(kind, transport=httpx2.MockTransport(api)) as bump:
        with pytest.raises(ProblemError):
            await bump.usage()
    assert len(api.requests) == 1


@pytest.mark.parametrize("slug", ["limit-reached", "downstream-busy"])
async def test_who_is_told_when_to_come_back_does_so_then(kind: str, slug: str) -> None:
    api = Scripted(problem(429, slug, retry_after="1"), answer(ANSWER))
    began = monotonic()
    async with either_client(kind, transport=httpx2.MockTransport(api)) as bump:
        await bump.personalize("ana", "Hello")
    assert monotonic() - began >= 1


async def test_what_would_come_after_the_deadline_is_not_waited_for(kind: str) -> None:
    api = Scripted(problem(429, "limit-reached", retry_after="86400"))
    began = monotonic()
    async with either_client(kind, transport=httpx2.MockTransport(api)) as bump:
        with pytest.raises(LimitReached) as reached:
            await bump.personalize("ana", "Hello")
    assert reached.value.retry_after_seconds == 86_400
    assert monotonic() - began < 1


async def test_attempts_end_with_the_deadline(kind: str) -> None:
    api = Scripted(httpx2.ConnectError("refused"))
    began = monotonic()
    async with either_client(kind, deadline=0.5, transport=httpx2.MockTransport(api)) as bump:
        with pytest.raises(ConnectionFailed, match="refused"):
            await bump.usage()
    assert monotonic() - began < 1
    assert len(api.requests) > 1


@pytest.mark.parametrize(
    ("head", "drip"),
    [(b"", b""), (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x")],
    ids=["silence", "a drip"],
)
async def test_an_answer_that_does_not_end_has_the_deadline_too(
    kind: str, head: bytes, drip: bytes
) -> None:
    with unfinished_answer(head, drip=drip) as url:
        began = monotonic()
        async with either_client(kind, url, deadline=0.4) as bump:
            with pytest.raises(DeadlineExceeded):
                await bump.usage()
        assert monotonic() - began < 2


async def test_the_time_that_the_api_is_to_wait_comes_on_top(kind: str) -> None:
    with unfinished_answer() as url:
        began = monotonic()
        async with either_client(kind, url, deadline=0.1) as bump:
            with pytest.raises(DeadlineExceeded):
                await bump.profile("ana", min_revision=1, wait=0.5)
        assert monotonic() - began >= 0.6


async def test_a_stream_is_begun_again_only_before_its_first_byte(kind: str) -> None:
    pieces = b'event: delta\ndata: {"text": "Rye \xe2\x80\xa8bread"}\n\n: ping\n\n'
    stream = httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=pieces)
    api = Scripted(problem(503, "unavailable", retry_after="0"), stream)
    async with either_client(kind, transport=httpx2.MockTransport(api)) as bump:
        with pytest.raises(ConnectionFailed, match="before it was done"):
            await streamed(bump, "ana", "Hello")
    assert len(api.requests) == 2


async def test_a_stream_is_cut_into_events_by_line_breaks_only(kind: str) -> None:
    text = "Rye\u2028bread\x0c"
    events = f"event: delta\ndata: {json.dumps({'text': text}, ensure_ascii=False)}\n\n"
    events += 'event: done\ndata: {"finish_reason": "stop", "usage": null}\n\n'
    stream = httpx2.Response(
        200, headers={"content-type": "text/event-stream"}, content=events.encode()
    )
    async with either_client(kind, transport=httpx2.MockTransport(Scripted(stream))) as bump:
        assert (await streamed(bump, "ana", "Hello"))[0] == [text]


async def test_an_export_that_breaks_off_is_an_error(kind: str) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"
    with unfinished_answer(head) as url:
        async with either_client(kind, url, deadline=0.3) as bump:
            with pytest.raises(ConnectionFailed):
                await exported(bump, "ana")


async def test_an_answer_of_somebody_else_says_so(kind: str) -> None:
    page = httpx2.Response(200, html="<h1>It works!</h1>")
    async with either_client(kind, transport=httpx2.MockTransport(Scripted(page))) as bump:
        with pytest.raises(UnexpectedAnswer, match="address"):
            await bump.usage()
        with pytest.raises(UnexpectedAnswer, match="event stream"):
            await streamed(bump, "ana", "Hello")


async def test_a_proxys_error_is_named_by_its_status_and_request(kind: str) -> None:
    page = httpx2.Response(502, html="<h1>Bad</h1>", headers={"X-Request-Id": "r-1"})
    async with either_client(kind, transport=httpx2.MockTransport(Scripted(page))) as bump:
        with pytest.raises(Unavailable, match="Bad Gateway") as failed:
            await bump.personalize("ana", "Hello")
    assert (failed.value.status, failed.value.type) == (502, "about:blank")
    assert failed.value.request_id == "r-1"


async def test_a_model_that_failed_is_told_from_an_api_that_did(kind: str) -> None:
    api = Scripted(problem(502, "downstream-failed"))
    async with either_client(kind, transport=httpx2.MockTransport(api)) as bump:
        with pytest.raises(DownstreamError):
            await bump.personalize("ana", "Hello")


async def test_what_is_no_address_is_refused_when_the_client_is_made(kind: str) -> None:
    with pytest.raises(ValueError, match="http://"):
        async with either_client(kind, "localhost:8000"):
            pass
