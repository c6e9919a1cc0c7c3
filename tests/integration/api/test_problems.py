"""Whatever is sent, the answer is a problem document with a stable type and never a 500."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from service.api.app import create_app
from service.config import Settings
from tests.histories import Sql
from tests.integration.api.calls import event, fields, post, problem
from tests.integration.api.routes import BODIES, ApiRoute, api_routes

JSON = {"Content-Type": "application/json"}
CANARY = "canary-4711-of-what-a-user-wrote"

# None of them can be read as JSON (RFC 8259).
UNREADABLE = {
    "nothing": b"",
    "cut short": b'{"user_id": "ana"',
    "two documents": b"{} {}",
    "not UTF-8": b'{"user_id": "\xff"}',
    "lone surrogate": b'{"user_id": "\\ud800"}',
    "lone surrogate as a key": b'{"\\udfff": 1}',
    "NaN": b'{"user_id": NaN}',
    "beyond every float": b'{"user_id": 1e400}',
    "5,000 digits": b'{"user_id": ' + b"9" * 5_000 + b"}",
    "100,000 levels deep": b"[" * 100_000 + b"]" * 100_000,
    "objects 50,000 levels deep": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "a byte order mark": b'\xef\xbb\xbf{"user_id": "ana"}',
    "UTF-16": '{"user_id": "ana"}'.encode("utf-16"),
    "NUL": b"\x00",
}
WRONG = {
    "null": b"null",
    "a number": b"7",
    "a text": b'"ana"',
    "a list": b"[1]",
    "an empty object": b"{}",
    "wrong types": b'{"user_id": {}, "input": [], "version": "x", "profiling": 1, "pinned": 2}',
    "huge numbers": b'{"user_id": 1e308, "version": 1' + b"0" * 300 + b', "max_tokens": 1e300}',
}
# No corrections, the next stage, the settings of the beginning: with what comes of it here.
MEANT_BY_AN_EMPTY_OBJECT = {
    "put_corrections": "user-not-found",
    "promote_generator": "generator-not-found",
    "put_prompt_settings": None,
    "requeue_regenerations": None,  # all of them
}
# Of those that the application may read.
TABLES = """
select c.relname as name from pg_class c
where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace
  and has_table_privilege(c.oid, 'select') and c.relname <> 'alembic_version'
"""


def is_problem(response: httpx2.Response) -> bool:
    return (
        400 <= response.status_code < 500
        and response.headers["content-type"] == "application/problem+json"
        and response.json()["type"].startswith("https://bump.dev/problems/")
        and response.json()["status"] == response.status_code
    )


def bodied(app: FastAPI) -> list[ApiRoute]:
    """The routes that take a body."""
    routes = [route for route in api_routes(app) if route.takes_a_body]
    assert len(routes) >= 6
    return routes


async def send_to_all(
    app: FastAPI, client: httpx2.AsyncClient, content: bytes
) -> dict[str, httpx2.Response]:
    """What each route that takes a body answers to this one, by the route's name."""
    routes = bodied(app)
    answers = [await r.call(client, content=content, json=None, headers=JSON) for r in routes]
    return dict(zip([r.name for r in routes], answers, strict=True))


@pytest.mark.parametrize("name", UNREADABLE)
async def test_a_body_that_is_not_json_is_a_problem_on_every_route(
    app: FastAPI, client: httpx2.AsyncClient, name: str
) -> None:
    for response in (await send_to_all(app, client, UNREADABLE[name])).values():
        if name == "nothing" and response.status_code == 422:
            problem(response, 422, "invalid-field")
        else:
            problem(response, 400, "invalid-body")


@pytest.mark.parametrize("name", WRONG)
async def test_a_body_of_wrong_types_is_a_problem_that_names_fields_on_every_route(
    app: FastAPI, client: httpx2.AsyncClient, name: str
) -> None:
    for route, response in (await send_to_all(app, client, WRONG[name])).items():
        if name != "an empty object" or route not in MEANT_BY_AN_EMPTY_OBJECT:
            assert fields(problem(response, 422, "invalid-field")), route
        elif slug := MEANT_BY_AN_EMPTY_OBJECT[route]:
            problem(response, 404, slug)
        else:
            assert response.status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "profile/rollback", {"version": "1"}, "version"),
        ("POST", "profile/rollback", {"version": True}, "version"),
        ("POST", "profile/rollback", {"version": 1.0}, "version"),
        ("PUT", "profiling", {"profiling": ["on"]}, "profiling"),
        ("PUT", "profile/corrections", {"pinned": "Is vegan."}, "pinned"),
        ("PUT", "profile/corrections", {"suppressed": {"0": "x"}}, "suppressed"),
    ],
)
async def test_what_is_nearly_the_right_type_is_refused(
    client: httpx2.AsyncClient, method: str, path: str, body: dict[str, Any], field: str
) -> None:
    response = await client.request(method, f"/v1/users/ana/{path}", json=body)
    assert fields(problem(response, 422, "invalid-field")) == {field}


@pytest.mark.parametrize(
    "changes",
    [
        *({"max_tokens": True}, {"max_tokens": "5"}, {"max_tokens": 5.0}, {"user_id": 7}),
        *({"stream": "yes"}, {"stream": 1}, {"temperature": "1"}, {"seed": True}, {"stop": "x"}),
    ],
)
async def test_so_it_is_in_a_prompt(client: httpx2.AsyncClient, changes: dict[str, Any]) -> None:
    body = {"user_id": "ana", "input": "What should I bake?", **changes}
    response = await client.post("/v1/personalize", json=body)
    assert fields(problem(response, 422, "invalid-field")) == set(changes)


@pytest.mark.parametrize(
    "user_id", ["%00", "%0A", "a%2Fb", "%2E%2E", "%C2%80", "%E2%80%A8", "u" * 257]
)
async def test_a_user_id_that_cannot_be_one_is_a_problem_on_every_route(
    app: FastAPI, client: httpx2.AsyncClient, user_id: str
) -> None:
    for route in api_routes(app):
        if route.of_a_user:
            assert is_problem(await route.call(client, user_id)), route.name


@pytest.mark.parametrize("value", ["", "x", "-1", "1e400", "nan", "9" * 5_000, "\x00", "é", "1;2"])
async def test_a_query_parameter_that_is_no_number_is_a_problem_that_names_it(
    app: FastAPI, client: httpx2.AsyncClient, value: str
) -> None:
    await post(client, event(1))
    for route in api_routes(app):
        for parameter in route.operation.get("parameters", []):
            if parameter["in"] != "query" or parameter["name"] in ("cursor", "prefix", "user_id"):
                continue
            query = {"from": 1, "to": 1} if "diff" in route.path else {}
            response = await route.call(client, params={**query, parameter["name"]: value})
            found = fields(problem(response, 422, "invalid-field"))
            assert found == {parameter["name"]}, route.name


async def test_an_unknown_route_is_not_found(client: httpx2.AsyncClient) -> None:
    for path in ("/", "/v1", "/v2/interactions", "/v1/users/ana/profile/nothing", "/v1/users//x"):
        problem(await client.get(path), 404, "not-found")


async def test_a_wrong_method_is_refused_with_the_right_ones(
    app: FastAPI, client: httpx2.AsyncClient
) -> None:
    for route in api_routes(app):
        response = await client.request("PATCH", route.path.replace("{version}", "1"))
        problem(response, 405, "method-not-allowed")
        assert route.method in response.headers["allow"].split(", "), route.name


async def test_a_body_of_megabytes_is_too_large_on_every_route(
    app: FastAPI, client: httpx2.AsyncClient
) -> None:
    for response in (await send_to_all(app, client, b" " * 4_000_001)).values():
        assert problem(response, 413, "too-large").get("limit", 0) <= 4_000_000


async def test_a_body_that_never_ends_is_too_large_on_every_route(
    app: FastAPI, client: httpx2.AsyncClient
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 100_000

    for route in bodied(app):
        response = await route.call(client, content=endless(), json=None, headers=JSON)
        assert problem(response, 413, "too-large").get("limit", 0) <= 4_000_000


async def test_a_million_levels_are_a_problem_on_every_route(
    app: FastAPI, client: httpx2.AsyncClient
) -> None:
    million = b"[" * 1_000_000
    for content in (million, million + b"]" * 1_000_000, b'{"a":' * 800_000):
        for route, response in (await send_to_all(app, client, content)).items():
            slug = "too-large" if route == "add_interactions" else "invalid-body"
            problem(response, 413 if slug == "too-large" else 400, slug)


@pytest.mark.parametrize(
    "media_type",
    [
        *("text/plain", "application/xml", "multipart/form-data", "application/jsonp"),
        *("application/x-www-form-urlencoded", "application/problem+json", "json", ";", "\xff"),
    ],
)
async def test_another_media_type_is_a_problem_on_every_route(
    app: FastAPI, client: httpx2.AsyncClient, media_type: str
) -> None:
    for route in bodied(app):
        content = json.dumps(BODIES[route.name]).encode()
        headers = [(b"Content-Type", media_type.encode("latin-1"))]
        response = await route.call(client, content=content, json=None, headers=headers)
        assert "application/json" in problem(response, 415, "unsupported-media-type")["detail"]


async def test_so_is_a_body_without_one(app: FastAPI, client: httpx2.AsyncClient) -> None:
    # A web page may send that to 127.0.0.1 without asking first.
    for route in bodied(app):
        content = json.dumps(BODIES[route.name]).encode()
        problem(await route.call(client, content=content, json=None), 415, "unsupported-media-type")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "identity, gzip", "aws-chunked"])
async def test_a_compressed_body_is_a_problem_on_every_route(
    app: FastAPI, client: httpx2.AsyncClient, coding: str
) -> None:
    for route in bodied(app):
        response = await route.call(client, headers={"Content-Encoding": coding})
        detail = problem(response, 415, "unsupported-media-type")["detail"]
        assert "Content-Encoding" in detail


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "/v1/interactions", {"user_id": "a\0", "text": "x"}, "user_id"),
        ("POST", "/v1/interactions", {"user_id": "a", "event_id": "\0", "text": "x"}, "event_id"),
        ("POST", "/v1/interactions", {"user_id": "a", "source": "\0", "text": "x"}, "source"),
        ("POST", "/v1/interactions", {"user_id": "a", "type": "\0", "text": "x"}, "type"),
        ("POST", "/v1/interactions", {"user_id": "a", "text": "x\0"}, "text"),
        ("POST", "/v1/interactions", {"user_id": "a", "attributes": {"\0": 1}}, "attributes"),
        (
            "POST",
            "/v1/interactions",
            {"user_id": "a", "attributes": {"a": [{"b": {"c": ["x\0"]}}]}},
            "attributes",
        ),
        ("PUT", "/v1/users/ana/profile/corrections", {"pinned": ["a\0b"]}, "pinned"),
        ("PUT", "/v1/users/ana/profile/corrections", {"suppressed": ["\0"]}, "suppressed"),
        ("POST", "/v1/personalize/prompt", {"user_id": "\0", "input": "x"}, "user_id"),
    ],
)
async def test_nul_is_a_problem_that_names_the_field(
    client: httpx2.AsyncClient, method: str, path: str, body: dict[str, Any], field: str
) -> None:
    response = await client.request(method, path, json=body)
    assert fields(problem(response, 422, "invalid-field")) == {field}


async def test_broken_requests_leave_no_row_in_any_table(
    app: FastAPI, client: httpx2.AsyncClient, sql: Sql
) -> None:
    routes = [route for route in bodied(app) if route.name not in MEANT_BY_AN_EMPTY_OBJECT]
    for name, content in {**UNREADABLE, **WRONG}.items():
        headers = {**JSON, "Idempotency-Key": name}
        for route in routes:
            await route.call(client, content=content, json=None, headers=headers)
    for table in await sql(TABLES):
        assert not await sql(f"select 1 from {table.name}"), table.name


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/interactions", {"user_id": CANARY, "text": 7}),
        ("POST", "/v1/interactions", {"user_id": "ana", "text": "x", "occurred_at": CANARY}),
        ("POST", "/v1/interactions", {"interactions": CANARY}),
        ("PUT", "/v1/users/ana/profile/corrections", {"pinned": CANARY}),
        ("PUT", "/v1/users/ana/profile/corrections", {"pinned": [CANARY * 20]}),
        ("PUT", "/v1/users/ana/profiling", {"profiling": CANARY}),
        ("POST", "/v1/users/ana/profile/rollback", {"version": CANARY}),
        ("POST", "/v1/personalize/prompt", {"user_id": "ana", "input": CANARY, "seed": CANARY}),
        ("POST", "/v1/personalize/prompt", {"user_id": "ana", "input": CANARY * 9_000}),
        (
            "POST",
            "/v1/personalize",
            {"user_id": "ana", "messages": [{"role": CANARY, "content": CANARY}]},
        ),
        ("GET", f"/v1/users/{CANARY}/profile?min_revision={CANARY}", None),
        ("GET", f"/v1/users/{CANARY}/interactions?cursor={CANARY}", None),
        ("GET", f"/v1/{CANARY}", None),
    ],
)
async def test_a_problem_never_repeats_what_was_sent(
    client: httpx2.AsyncClient, method: str, path: str, body: dict[str, Any] | None
) -> None:
    response = await client.request(method, path, json=body)
    assert is_problem(response)
    assert CANARY not in response.text


async def test_a_hundred_thousand_unknown_fields_get_a_short_answer(
    client: httpx2.AsyncClient,
) -> None:
    body = {f"field{n}": n for n in range(100_000)}
    response = await client.put("/v1/users/ana/profile/corrections", json=body)
    assert len(problem(response, 422, "invalid-field")["errors"]) == 20


async def test_a_hundred_broken_requests_at_once_leave_the_service_well(
    app: FastAPI, client: httpx2.AsyncClient
) -> None:
    routes = [route for route in bodied(app) if route.name not in MEANT_BY_AN_EMPTY_OBJECT]
    bodies = [*UNREADABLE.values(), *WRONG.values()]
    answers = await asyncio.gather(
        *(r.call(client, content=b, json=None, headers=JSON) for r in routes for b in bodies)
    )
    assert {response.status_code // 100 for response in answers} == {4}
    assert (await client.get("/readyz")).json()["status"] == "ready"


async def test_a_surprise_is_a_problem_without_its_message(settings: Settings) -> None:
    app = create_app(settings)

    @app.get("/surprise")
    async def surprise() -> None:
        raise RuntimeError(CANARY)

    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://bump.test") as client:
        answer = await client.get("/surprise")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "https://bump.dev/problems/internal-error"
    assert CANARY not in answer.text
