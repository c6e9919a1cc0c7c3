"""`Idempotency-Key`: the same request again gets the first answer, word for word."""

import asyncio
import json
from typing import Any

import httpx2
import pytest

from tests.integration.api.calls import event, fields, get, history, problem


async def post_with_key(
    client: httpx2.AsyncClient, body: dict[str, Any], key: str = "order-66"
) -> httpx2.Response:
    return await client.post("/v1/interactions", content=json.dumps(body), headers=_headers(key))


def _headers(key: str) -> dict[str, str]:
    return {"Content-Type": "application/json", "Idempotency-Key": key}


async def test_the_same_request_again_replays_the_first_answer(client: httpx2.AsyncClient) -> None:
    body = {"interactions": [event(1), {"user_id": "ana"}, {"user_id": "ben", "text": "No id."}]}
    first = await post_with_key(client, body)
    again = await post_with_key(client, body)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.content == first.content
    assert len((await get(client, "/v1/users/ben/interactions"))["interactions"]) == 1


async def test_a_key_used_for_another_request_is_refused(client: httpx2.AsyncClient) -> None:
    await post_with_key(client, event(1))
    problem(await post_with_key(client, event(2)), 422, "idempotency-key-reused")
    assert len((await get(client, "/v1/users/ana/interactions"))["interactions"]) == 1


async def test_a_key_is_the_projects_own(
    client: httpx2.AsyncClient, other_client: httpx2.AsyncClient
) -> None:
    await post_with_key(client, event(1))
    elsewhere = await post_with_key(other_client, event(2))
    assert elsewhere.json()["accepted"] == 1


async def test_the_same_request_ten_times_at_once_is_stored_once(
    client: httpx2.AsyncClient,
) -> None:
    body = {"interactions": [{"user_id": "ana", "text": f"Without id {n}."} for n in range(3)]}
    answers = await asyncio.gather(*(post_with_key(client, body) for _ in range(10)))
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert len((await get(client, "/v1/users/ana/interactions"))["interactions"]) == 3


async def test_a_refused_request_leaves_its_key_free(client: httpx2.AsyncClient) -> None:
    problem(await post_with_key(client, {"interactions": []}), 400, "invalid-body")
    accepted = await post_with_key(client, {"interactions": history(1)})
    assert accepted.json()["accepted"] == 1


@pytest.mark.parametrize("key", ["", "k" * 257, "a\x85b"])
async def test_a_key_that_is_no_identifier_is_refused(client: httpx2.AsyncClient, key: str) -> None:
    response = await client.post(
        "/v1/interactions",
        content=json.dumps(event(1)),
        headers=[
            (b"Content-Type", b"application/json"),
            (b"Idempotency-Key", key.encode("latin-1")),
        ],
    )
    (field,) = fields(problem(response, 422, "invalid-field"))
    assert field.lower() == "idempotency-key"
