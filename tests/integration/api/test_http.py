"""Hostile bytes at a real server: a clear answer or none, never a 5xx, and nothing half-written."""

import gzip
import zlib
from collections.abc import AsyncIterator

import httpx2
import orjson
import pytest

from service.api.http_protocol import MAX_HEAD_BYTES
from tests.faults.processes import ApiProcess, readiness
from tests.integration.api.calls import get, problem
from tests.integration.api.raw_http import Answer, chunked, exchange, request

EVENT = b'{"user_id": "ana", "event_id": "1", "text": "Baked bread."}'
SMUGGLED = request(body=EVENT.replace(b"ana", b"eve"))
CHUNKED = b"Transfer-Encoding: chunked"
JSON = b"Content-Type: application/json"
LENGTH = b"Content-Length: %d" % len(EVENT)

NOT_HTTP = {
    "TLS": bytes.fromhex("160301020001000001fc0303") + bytes(64),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "every byte": bytes(range(256)) * 40,
    "an unknown version": request("GET", b"/livez", version=b"9.9"),
    "no target": request("GET", b""),
    "a target without a slash": request("GET", b"livez"),
    "a broken absolute target": request("GET", b"http://[::1/livez"),
    "a proxy's request": request("CONNECT", b"bump.test:443"),
    "a method in lower case": request("get", b"/livez"),
    "a method that is no token": request("G\x01T", b"/livez"),
    "bytes in the path": request("GET", b"/v1/users/\xff\xfe/profile"),
    "UTF-8 in the path": request("GET", "/v1/users/é/profile".encode()),
    "NUL in the path": request("GET", b"/v1/users/a\0b/profile"),
    "bytes in the query": request("GET", b"/v1/users/ana/interactions?cursor=\xff"),
    "a line without a colon": request("GET", b"/livez", b"nonsense"),
    "a folded header": request("GET", b"/livez", b"X-A: a\r\n b"),
    "NUL in a header": request("GET", b"/livez", b"X-A: a\0b"),
    "a bare carriage return": request("GET", b"/livez", b"X-A: a\rX-B: b"),
    "bare line feeds": request("GET", b"/livez").replace(b"\r\n", b"\n"),
    "a negative length": request("POST", b"/v1/interactions", JSON, b"Content-Length: -5"),
    "a length in words": request("POST", b"/v1/interactions", JSON, b"Content-Length: ten"),
    "a length of 80 bits": request("POST", b"/v1/interactions", b"Content-Length: " + b"9" * 24),
    "two lengths": request("POST", b"/v1/interactions", JSON, LENGTH, b"Content-Length: 3") + EVENT,
    "a list of lengths": request("POST", b"/v1/interactions", JSON, LENGTH + b", 59") + EVENT,
    "a length and chunks": request("POST", b"/v1/interactions", JSON, LENGTH, CHUNKED)
    + chunked(EVENT),
    "chunks and a length": request("POST", b"/v1/interactions", JSON, CHUNKED, LENGTH)
    + chunked(EVENT),
    "a request behind no chunks": request("POST", b"/v1/interactions", JSON, LENGTH, CHUNKED)
    + chunked()
    + SMUGGLED,
    "an unknown coding": request("POST", b"/v1/interactions", JSON, b"Transfer-Encoding: xchunked")
    + chunked(EVENT),
    "chunks that are not last": request(
        "POST", b"/v1/interactions", JSON, b"Transfer-Encoding: chunked, identity"
    )
    + chunked(EVENT),
    "a space before the colon": request(
        "POST", b"/v1/interactions", JSON, b"Transfer-Encoding : chunked"
    )
    + chunked(EVENT),
    "a chunk of no size": request("POST", b"/v1/interactions", JSON, CHUNKED) + b"zz\r\nabc\r\n",
    "a chunk of 72 bits": request("POST", b"/v1/interactions", JSON, CHUNKED) + b"f" * 18 + b"\r\n",
}
CUT_SHORT = {
    "nothing": b"",
    "line ends": b"\r\n" * 3,
    "a head": request("POST", b"/v1/interactions", JSON, LENGTH)[:-2],
    "a body": request("POST", b"/v1/interactions", JSON, LENGTH) + EVENT[:-1],
    "a body, of whole lines": request(
        "POST",
        b"/v1/interactions",
        b"Content-Type: application/x-ndjson",
        b"Content-Length: 5000",
    )
    + EVENT
    + b"\n",
    "a chunk": request("POST", b"/v1/interactions", JSON, CHUNKED) + b"3b\r\n" + EVENT[:20],
    "the last chunk": request("POST", b"/v1/interactions", JSON, CHUNKED)
    + chunked(EVENT).removesuffix(b"0\r\n\r\n"),
}
PATHS = {
    b"/": (404, "not-found"),
    b"//v1/users/ana/profile": (404, "not-found"),
    b"//evil.example/v1": (404, "not-found"),
    b"/v1/users/../../livez": (404, "not-found"),
    b"/v1/users//profile": (404, "not-found"),
    b"/v1/users/a%2Fb/profile": (404, "not-found"),
    b"/v1/users/ana/profile/": (404, "not-found"),
    b"/v1/users/a;b=c/profile": (404, "user-not-found"),
    b"/v1/users/%zz/profile": (404, "user-not-found"),
    b"/v1/users/%/profile": (404, "user-not-found"),
    b"/v1/users/%2e%2e/profile": (422, "invalid-field"),
    b"/v1/users/%00/profile": (422, "invalid-field"),
    b"/v1/users/%ff%fe/profile": (422, "invalid-field"),
    b"/v1/users/%ed%a0%80/profile": (422, "invalid-field"),
    b"/v1/users/" + b"a" * 60_000 + b"/profile": (422, "invalid-field"),
    b"/v1/users/ana/profile?wait=%zz&%=%&=": (422, "invalid-field"),
    b"/v1/users/ana/interactions?limit=%ff%fe": (422, "invalid-field"),
    b"/v1/users/ana/interactions?limit=1&limit=x": (422, "invalid-field"),
    b"/v1/users/ana/interactions?cursor=%00": (400, "invalid-cursor"),
    b"/v1/users/ana/interactions?" + b"&".join(b"a%d=" % n for n in range(5_000)): (
        404,
        "user-not-found",
    ),
}


@pytest.fixture
async def server(api: ApiProcess) -> AsyncIterator[ApiProcess]:
    """A real server, which must be as well after the test as before it."""
    before = api.log()
    yield api
    assert readiness(api.url) == 200
    assert "request_failed" not in api.log().removeprefix(before)


@pytest.fixture
def key(client: httpx2.AsyncClient) -> bytes:
    return b"Authorization: " + client.headers["Authorization"].encode()


async def nobody_is_known(client: httpx2.AsyncClient) -> bool:
    """Whether nothing of any request was stored."""
    users = [await client.get(f"/v1/users/{name}/interactions") for name in ("ana", "eve")]
    return [user.status_code for user in users] == [404, 404]


@pytest.mark.parametrize("name", NOT_HTTP)
async def test_what_is_not_http_is_refused_and_the_connection_closed(
    server: ApiProcess, client: httpx2.AsyncClient, key: bytes, name: str
) -> None:
    sent = NOT_HTTP[name].replace(b"\r\nConnection: close", b"\r\nConnection: close\r\n" + key)
    (answer,) = await exchange(server.port, sent)
    assert (answer.status, answer.problem) == (400, "invalid-request")
    assert answer.headers["connection"] == "close"
    assert await nobody_is_known(client)


@pytest.mark.parametrize("name", CUT_SHORT)
async def test_what_is_cut_short_leaves_nothing_behind(
    server: ApiProcess, client: httpx2.AsyncClient, key: bytes, name: str
) -> None:
    sent = CUT_SHORT[name].replace(b"\r\nConnection: close", b"\r\nConnection: close\r\n" + key)
    await exchange(server.port, sent, then_close=True)
    assert await nobody_is_known(client)


async def test_a_body_longer_than_declared_is_cut_there_and_the_rest_is_no_request(
    server: ApiProcess, client: httpx2.AsyncClient, key: bytes
) -> None:
    head = request("POST", b"/v1/interactions", key, JSON, b"Content-Length: 10")
    answers = await exchange(server.port, head + EVENT + SMUGGLED)
    assert [answer.problem for answer in answers] == ["invalid-body"]
    assert await nobody_is_known(client)


@pytest.mark.parametrize(
    "header",
    [b"X-A: %s" % (b"a" * 10_000_000), b"\r\n".join(b"X-%d: 1" % n for n in range(200_000))],
    ids=["one of 10 MB", "200,000 of them"],
)
async def test_endless_headers_are_refused(server: ApiProcess, header: bytes) -> None:
    # A peer that is still sending may see its connection reset before it can read the answer.
    answers = await exchange(server.port, request("GET", b"/livez", header))
    assert [(a.status, a.problem) for a in answers] in ([(431, "head-too-large")], [])


async def test_headers_that_come_in_pieces_are_added_up(server: ApiProcess) -> None:
    pieces = [b"X-%d: %s\r\n" % (n, b"a" * 8_000) for n in range(MAX_HEAD_BYTES // 8_000 + 2)]
    answers = await exchange(server.port, request("GET", b"/livez")[:-2], *pieces)
    assert [(a.status, a.problem) for a in answers] in ([(431, "head-too-large")], [])


async def test_long_headers_are_served_and_many_requests_are_not_added_up(
    server: ApiProcess,
) -> None:
    long = b"GET /livez HTTP/1.1\r\nHost: bump.test\r\nX-A: %s\r\n\r\n" % (b"a" * 60_000)
    answers = await exchange(server.port, long, long, long, request("GET", b"/livez"))
    assert [answer.status for answer in answers] == [200] * 4


@pytest.mark.parametrize("target", PATHS, ids=lambda target: target[:40].decode())
async def test_an_odd_path_or_query_is_a_problem(
    server: ApiProcess, key: bytes, target: bytes
) -> None:
    (answer,) = await exchange(server.port, request("GET", target, key))
    assert (answer.status, answer.problem) == PATHS[target]


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress, bytes])
@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"br", b"GZip, identity", b"\xff"])
async def test_a_compressed_body_is_refused(
    server: ApiProcess, client: httpx2.AsyncClient, key: bytes, coding: bytes, compress: type[bytes]
) -> None:
    sent = request(
        "POST", b"/v1/interactions", key, b"Content-Encoding: " + coding, body=compress(EVENT)
    )
    (answer,) = await exchange(server.port, sent)
    assert (answer.status, answer.problem) == (415, "unsupported-media-type")
    assert b"Content-Encoding" in answer.body
    assert await nobody_is_known(client)


@pytest.mark.parametrize(
    "headers",
    [
        (b"Content-Encoding: identity",),
        (b"Expect: something",),
        (b"Accept: ;;q=,\xff",),
        (b"Accept: application/xml", b"Accept-Encoding: x", b"Accept-Charset: \xfe"),
        (b"Host: evil.example", b"Host: [::1"),
        (b"X-A: %s" % (b"\xff" * 8_000),),
        (b"Cookie: a=b; =; \xff", b"If-None-Match: \xff", b"If-Match: x", b"Range: bytes=9-1"),
    ],
)
async def test_headers_that_do_not_matter_do_no_harm(
    server: ApiProcess, key: bytes, headers: tuple[bytes, ...]
) -> None:
    (answer,) = await exchange(
        server.port, request("POST", b"/v1/interactions", key, *headers, body=EVENT)
    )
    assert accepted(answer)


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
@pytest.mark.parametrize("target", [b"/v1/interactions", b"http://evil.example/v1/interactions"])
async def test_old_clients_and_proxies_are_served(
    server: ApiProcess, key: bytes, version: bytes, target: bytes
) -> None:
    (answer,) = await exchange(
        server.port, request("POST", target, key, body=EVENT, version=version)
    )
    assert accepted(answer)


async def test_pipelined_requests_are_answered_in_their_order(
    server: ApiProcess, key: bytes
) -> None:
    kept = [
        request("POST", b"/v1/interactions", key, body=EVENT),
        request("GET", b"/v1/users/nobody/profile", key),
        request("POST", b"/v1/interactions", key, body=b"{"),
    ]
    open_ended = b"".join(kept).replace(b"Connection: close\r\n", b"")
    answers = await exchange(server.port, open_ended + request("GET", b"/livez"))
    assert [answer.status for answer in answers] == [200, 404, 400, 200]


async def test_a_client_that_waits_for_leave_to_send_gets_it(
    server: ApiProcess, key: bytes
) -> None:
    sent = request("POST", b"/v1/interactions", key, b"Expect: 100-continue", body=EVENT)
    go_on, answer = await exchange(server.port, sent.removesuffix(EVENT), EVENT)
    assert go_on.status == 100
    assert accepted(answer)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    "body",
    [LENGTH + b"\r\n\r\n" + EVENT, CHUNKED + b"\r\n\r\n" + chunked(EVENT[:9], EVENT[9:])],
    ids=["length", "chunked"],
)
async def test_an_offer_to_upgrade_is_passed_over(
    server: ApiProcess, key: bytes, body: bytes, together: bool
) -> None:
    # What the JVM's HTTP clients send with their first request.
    offer = b"\r\n".join(
        [
            b"POST /v1/interactions HTTP/1.1",
            b"Connection: Upgrade, HTTP2-Settings",
            b"Host: bump.test",
            b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
            b"Upgrade: h2c",
            JSON,
            key,
        ]
    )
    sent = (offer + b"\r\n", body, request("GET", b"/livez"))
    pieces = [b"".join(sent)] if together else sent
    answer, next_answer = await exchange(server.port, *pieces)
    assert accepted(answer)
    assert next_answer.status == 200


async def test_no_websocket_is_opened(server: ApiProcess) -> None:
    sent = request("GET", b"/livez", b"Upgrade: websocket").replace(b"close", b"Upgrade")
    answer, _ = await exchange(server.port, sent + request("GET", b"/livez"))
    assert answer.status == 200


async def test_a_preflight_from_a_web_page_is_not_answered(server: ApiProcess) -> None:
    asked = b"Access-Control-Request-Method: DELETE"
    (answer,) = await exchange(
        server.port, request("OPTIONS", b"/v1/users/ana", b"Origin: https://evil.example", asked)
    )
    assert (answer.status, answer.problem) == (405, "method-not-allowed")
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json",
        "application/x-ndjson",
        "application/cloudevents+json",
        "application/cloudevents-batch+json",
        "text/plain",
    ],
)
@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_that_is_too_large_is_refused_before_all_of_it_has_come(
    server: ApiProcess, key: bytes, media_type: str, declared: bool
) -> None:
    size = b"Content-Length: 9223372036854775807" if declared else CHUNKED
    kind = b"Content-Type: " + media_type.encode()
    binary = b"ce-specversion: 1.0" if media_type == "text/plain" else b"X-A: b"
    head = request("POST", b"/v1/interactions", key, kind, size, binary)
    begun = b"" if declared else chunked(*[b" " * 50_000] * 11).removesuffix(b"0\r\n\r\n")
    (answer,) = await exchange(server.port, head + begun)
    assert (answer.status, answer.problem) == (413, "too-large")


async def test_the_server_behind_is_the_one_that_the_other_tests_use(
    server: ApiProcess, client: httpx2.AsyncClient, key: bytes
) -> None:
    problem(await client.get("/v1/users/ana/interactions"), 404, "user-not-found")
    await exchange(server.port, request("POST", b"/v1/interactions", key, body=EVENT))
    (stored,) = (await get(client, "/v1/users/ana/interactions"))["interactions"]
    assert stored["text"] == "Baked bread."


def accepted(answer: Answer) -> bool:
    return answer.status == 200 and bool(orjson.loads(answer.body)["accepted"])
