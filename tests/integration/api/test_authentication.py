"""Every route of the OpenAPI document, whatever is added to it, asks for a key with its scope."""

import asyncio

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from service.commands.keys import revoke_key, rotate_key
from service.config import Settings
from service.db.session import Database
from service.worker import Worker
from tests.conftest import ApiKeyMaker
from tests.integration.api.calls import event, post, problem, write_profile
from tests.integration.api.conftest import ClientWith
from tests.integration.api.routes import api_routes

SCOPES = ("ingest", "read", "personalize", "admin")
NEEDED = {
    "add_interactions": "ingest",
    "get_profile": "read",
    "list_profile_versions": "read",
    "get_profile_version": "read",
    "diff_profile_versions": "read",
    "list_profile_evidence": "read",
    "list_profile_scores": "read",
    "list_interactions": "read",
    "assemble_prompt": "personalize",
    "create_chat_completion": "personalize",
    "get_model": "personalize",
    "get_usage": "personalize",
    "list_models": "personalize",
    "personalize_answer": "personalize",
}  # every other route: admin


def with_key(key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


@pytest.fixture
def keyless(client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """The test's client without its key."""
    del client.headers["Authorization"]
    return client


@pytest.fixture
async def expired_key(make_key: ApiKeyMaker) -> str:
    return await make_key(days=0)


@pytest.fixture
async def revoked_key(make_key: ApiKeyMaker, settings: Settings, project_id: str) -> str:
    key = await make_key()
    assert await revoke_key(settings, project_id, key.split("_")[1])
    return key


async def test_no_route_answers_without_a_live_key(
    app: FastAPI, keyless: httpx2.AsyncClient, expired_key: str, revoked_key: str
) -> None:
    unknown = "bump_0123456789_" + "0" * 64
    wrong_secret = expired_key[:-1] + ("0" if expired_key[-1] != "0" else "1")
    for route in api_routes(app):
        for key in (None, unknown, expired_key, revoked_key, wrong_secret):
            response = await route.call(keyless, headers=with_key(key))
            problem(response, 401, "unauthenticated")
            assert response.headers["www-authenticate"] == "Bearer", route.name


async def test_a_key_opens_the_routes_of_its_scope_and_no_other(
    app: FastAPI, keyless: httpx2.AsyncClient, make_key: ApiKeyMaker
) -> None:
    keys = {scope: await make_key(scope) for scope in SCOPES}
    for route in api_routes(app):
        needed = NEEDED.get(route.name, "admin")
        for scope, key in keys.items():
            response = await route.call(keyless, headers=with_key(key))
            if scope in (needed, "admin"):
                assert response.status_code not in (401, 403), (route.name, scope)
            else:
                refusal = problem(response, 403, "forbidden")
                assert f"'{needed}'" in refusal["detail"], route.name


async def test_no_route_shows_or_changes_another_projects_user(
    app: FastAPI, client: httpx2.AsyncClient, other_client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    before = await client.get("/v1/users/ana/export")
    for route in api_routes(app):
        if route.of_a_user:
            response = await route.call(other_client)
            assert response.status_code == 404, route.name
            assert response.headers["content-type"] == "application/problem+json"
    assert (await client.get("/v1/users/ana/export")).content == before.content


async def test_another_projects_profile_is_in_no_prompt(
    client: httpx2.AsyncClient, other_client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    body = {"user_id": "ana", "input": "What should I bake?"}
    prompt = (await other_client.post("/v1/personalize/prompt", json=body)).json()
    assert prompt["profile_version"] is None
    assert prompt["messages"] == [{"role": "user", "content": body["input"]}]


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer bump__",
        "Bearer bump_0123456789",
        "Bearer bump_0123456789_",
        "Bearer bump_\x00123456789_secret",
        "Bearer bump_éééééééééé_secret",
        "Bearer bump_'or 1=1 --_secret",
        "Basic YW5hOnNlY3JldA==",
        "Bearer " + "x" * 8_000,
    ],
)
async def test_a_header_that_holds_no_key_is_refused(
    keyless: httpx2.AsyncClient, header: str
) -> None:
    headers = [(b"Authorization", header.encode("latin-1"))]
    response = await keyless.get("/v1/users/ana/profile", headers=headers)
    problem(response, 401, "unauthenticated")


async def test_a_revoked_key_ends_within_the_key_cache_ttl(
    keyless: httpx2.AsyncClient, make_key: ApiKeyMaker, settings: Settings, project_id: str
) -> None:
    key = await make_key()
    assert await status_with(keyless, key) == 200
    await revoke_key(settings, project_id, key.split("_")[1])
    async with asyncio.timeout(10):
        while await status_with(keyless, key) != 401:
            continue


async def test_a_successor_and_its_predecessor_both_work_after_a_rotation(
    keyless: httpx2.AsyncClient, make_key: ApiKeyMaker, settings: Settings, project_id: str
) -> None:
    old = await make_key("ingest")
    new = await rotate_key(settings, project_id, old.split("_")[1])
    assert new is not None and new != old
    for key in (old, new):
        assert await status_with(keyless, key) == 200
    forbidden = await keyless.get("/v1/users/ana/profile", headers=with_key(new))
    problem(forbidden, 403, "forbidden")


async def test_the_health_routes_need_no_key(keyless: httpx2.AsyncClient) -> None:
    for path in ("/livez", "/readyz", "/readyz?verbose", "/metrics", "/openapi.json"):
        assert (await keyless.get(path)).status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8000", "[::1]:8000", "LOCALHOST"])
async def test_loopback_mode_serves_this_machine_without_a_key(
    client_with: ClientWith, host: str
) -> None:
    async with client_with(auth="loopback") as loopback:
        del loopback.headers["Authorization"]
        response = await loopback.get("/v1/users/ana/profile", headers={"Host": host})
        problem(response, 404, "user-not-found")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.", "0.0.0.0"]
)
async def test_loopback_mode_refuses_a_rebound_host_name_on_every_route(
    app: FastAPI, client_with: ClientWith, host: str
) -> None:
    async with client_with(auth="loopback") as loopback:
        del loopback.headers["Authorization"]
        for route in api_routes(app):
            response = await route.call(loopback, headers={"Host": host})
            problem(response, 401, "unauthenticated")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1.evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_loopback_mode_refuses_what_another_sites_page_sends(
    app: FastAPI, client_with: ClientWith, headers: dict[str, str]
) -> None:
    async with client_with(auth="loopback") as loopback:
        del loopback.headers["Authorization"]
        for route in api_routes(app):
            response = await route.call(loopback, headers={"Host": "127.0.0.1", **headers})
            problem(response, 401, "unauthenticated")


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8000", "http://localhost:5173"])
async def test_loopback_mode_serves_the_pages_of_this_machine(
    client_with: ClientWith, origin: str
) -> None:
    async with client_with(auth="loopback") as loopback:
        del loopback.headers["Authorization"]
        headers = {"Host": "127.0.0.1:8000", "Origin": origin, "Sec-Fetch-Site": "same-origin"}
        response = await loopback.post("/v1/users/ana/profile/regenerate", headers=headers)
        problem(response, 404, "user-not-found")


async def test_loopback_mode_refuses_another_machine(
    client_with: ClientWith,
) -> None:
    async with client_with(auth="loopback") as loopback:
        transport = loopback._transport
        assert isinstance(transport, httpx2.ASGITransport)
        remote = httpx2.ASGITransport(app=transport.app, client=("192.0.2.7", 4711))
        async with httpx2.AsyncClient(transport=remote, base_url="http://127.0.0.1") as client:
            problem(await client.get("/v1/users/ana/profile"), 401, "unauthenticated")


async def test_loopback_mode_still_checks_a_key_that_is_sent(client_with: ClientWith) -> None:
    async with client_with(auth="loopback") as loopback:
        headers = {"Host": "127.0.0.1", **with_key("bump_0123456789_" + "0" * 64)}
        response = await loopback.get("/v1/users/ana/profile", headers=headers)
        problem(response, 401, "unauthenticated")


async def test_a_key_works_whatever_the_host_name(client: httpx2.AsyncClient) -> None:
    await post(client, event(1))
    response = await client.get("/v1/users/ana/interactions", headers={"Host": "api.example"})
    assert response.status_code == 200


async def status_with(client: httpx2.AsyncClient, key: str) -> int:
    response = await client.post("/v1/interactions", json=event(1), headers=with_key(key))
    return response.status_code


async def test_whoever_guesses_keys_takes_no_connections_from_those_who_have_one(
    client_with: ClientWith, owner: Database
) -> None:
    guesses = [with_key(f"bump_{number:010x}_{'0' * 64}") for number in range(30)]
    async with client_with(key_cache_ttl=60) as client:
        await post(client, event(1))  # its key is known from now on
        async with owner.across_projects() as connection:
            # Nobody can look a key up until this ends.
            await connection.execute(text("lock table api_keys in access exclusive mode"))
            guessing = [
                asyncio.create_task(client.get("/v1/users/ana/profile", headers=headers))
                for headers in guesses
            ]
            for number in range(2, 12):
                await post(client, event(number))
            assert not any(guess.done() for guess in guessing)
        for guess in await asyncio.gather(*guessing):
            problem(guess, 401, "unauthenticated")


@pytest.mark.parametrize("host", ["", "a b", "127.0.0.1@evil.example", "[::1", "localhost.evil"])
async def test_loopback_mode_refuses_a_host_that_is_none(
    client_with: ClientWith, host: str
) -> None:
    async with client_with(auth="loopback") as loopback:
        del loopback.headers["Authorization"]
        response = await loopback.get("/v1/users/ana/profile", headers={"Host": host})
        problem(response, 401, "unauthenticated")
