"""POST /v1/interactions: every way to send interactions, one result per item, the limits."""

import json
from typing import Any

import httpx2
import pytest

from tests.integration.api.calls import event, fields, get, history, post, problem

NDJSON = "application/x-ndjson"
CLOUD_EVENT = "application/cloudevents+json"
CLOUD_EVENTS = "application/cloudevents-batch+json"
BINARY = {
    "ce-specversion": "1.0",
    "ce-id": "1",
    "ce-source": "/shop",
    "ce-type": "note",
    "ce-subject": "ana",
}


async def send(
    client: httpx2.AsyncClient, content: bytes | str, media_type: str, **headers: str
) -> httpx2.Response:
    return await client.post(
        "/v1/interactions", content=content, headers={"Content-Type": media_type, **headers}
    )


async def stored(client: httpx2.AsyncClient, user_id: str = "ana") -> list[dict[str, Any]]:
    page = await get(client, f"/v1/users/{user_id}/interactions")
    interactions: list[dict[str, Any]] = page["interactions"]
    return interactions


async def attributes_of(client: httpx2.AsyncClient) -> Any:
    """Of the only interaction, as every route shows them."""
    (listed,) = await stored(client)
    (exported,) = (await get(client, "/v1/users/ana/export"))["interactions"]
    assert listed["attributes"] == exported["attributes"]
    return listed["attributes"]


def cloud_event(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"ce-{number}",
        "source": "/shop",
        "type": "com.example.review",
        "subject": "ana",
        "time": "2026-02-01T10:00:00Z",
        "data": {"text": "Five stars for this flour.", "stars": 5},
    } | changes


async def test_a_single_interaction_is_stored_as_it_was_sent(client: httpx2.AsyncClient) -> None:
    sent = event(1, type="review", source="shop", attributes={"stars": 5, "tags": ["flour"]})
    response = await client.post("/v1/interactions", json=sent)
    assert response.json() == {
        "accepted": 1,
        "duplicates": 0,
        "rejected": 0,
        "results": [{"status": "accepted", "user_id": "ana", "event_id": "ana-1", "reason": None}],
        "users": [{"user_id": "ana", "revision": 1}],
    }
    (kept,) = await stored(client)
    assert kept.pop("revision") == 1
    assert kept.pop("occurred_at").replace("Z", "+00:00") == sent.pop("occurred_at")
    assert kept == {name: value for name, value in sent.items() if name != "user_id"}


async def test_an_event_without_id_and_time_gets_both(client: httpx2.AsyncClient) -> None:
    answer = await post(client, {"user_id": "ana", "text": "Bread."})
    (kept,) = await stored(client)
    assert kept["event_id"] == answer["results"][0]["event_id"]
    assert kept["occurred_at"] > "2026"
    assert (kept["source"], kept["type"]) == ("api", "interaction")


async def test_the_same_event_again_is_a_duplicate_and_raises_no_revision(
    client: httpx2.AsyncClient,
) -> None:
    await post(client, event(1))
    again = await post(client, event(1, text="Said otherwise."))
    assert (again["accepted"], again["duplicates"]) == (0, 1)
    assert again["users"] == [{"user_id": "ana", "revision": 1}]
    assert [kept["text"] for kept in await stored(client)] == [event(1)["text"]]


async def test_the_same_event_id_of_another_source_or_user_is_another_event(
    client: httpx2.AsyncClient,
) -> None:
    same_id = {"event_id": "1", "text": "Bread."}
    answer = await post(
        client,
        {**same_id, "user_id": "ana", "source": "shop"},
        {**same_id, "user_id": "ana", "source": "forum"},
        {**same_id, "user_id": "ben", "source": "shop"},
    )
    assert answer["accepted"] == 3


async def test_a_batch_answers_each_item_in_its_place(client: httpx2.AsyncClient) -> None:
    await post(client, event(2))
    answer = await post(
        client, event(3, "ben"), event(2), {"user_id": "eve"}, event(1), event(1), {"text": "?"}
    )
    assert [(item["status"], item["event_id"]) for item in answer["results"]] == [
        ("accepted", "ben-3"),
        ("duplicate", "ana-2"),
        ("rejected", None),
        ("accepted", "ana-1"),
        ("duplicate", "ana-1"),
        ("rejected", None),
    ]
    assert (answer["accepted"], answer["duplicates"], answer["rejected"]) == (2, 2, 2)
    assert {user["user_id"]: user["revision"] for user in answer["users"]} == {"ana": 2, "ben": 1}


async def test_a_batch_raises_a_users_revision_by_one(client: httpx2.AsyncClient) -> None:
    answer = await post(client, *history(5))
    assert answer["users"] == [{"user_id": "ana", "revision": 1}]


@pytest.mark.parametrize(
    ("broken", "field"),
    [
        ({"user_id": ""}, "user_id"),
        ({"user_id": "a/b"}, "user_id"),
        ({"user_id": "a\x00b"}, "user_id"),
        ({"user_id": 7}, "user_id"),
        ({"user_id": "u" * 257}, "user_id"),
        ({"event_id": ""}, "event_id"),
        ({"event_id": "a\nb"}, "event_id"),
        ({"source": "s" * 257}, "source"),
        ({"type": "t" * 129}, "type"),
        ({"text": "a\x00b"}, "text"),
        ({"text": None}, "text"),
        ({"text": ""}, "text"),
        ({"text": "x" * 32_001}, "text"),
        ({"attributes": {"a": "x" * 32_001}}, "text"),
        ({"attributes": {"a": {"b": ["\x00"]}}}, "attributes"),
        ({"attributes": []}, "attributes"),
        ({"occurred_at": "2026-01-01"}, "occurred_at"),
        ({"occurred_at": "2026-01-01T10:00:00"}, "occurred_at"),
        ({"occurred_at": "1767225600"}, "occurred_at"),
        ({"occurred_at": 1767225600}, "occurred_at"),
        ({"occurred_at": "1899-12-31T23:59:59Z"}, "occurred_at"),
        ({"occurred_at": "2999-01-01T00:00:00Z"}, "occurred_at"),
        ({"occured_at": "2026-01-01T10:00:00Z"}, "occured_at"),
    ],
)
async def test_one_bad_item_is_rejected_by_field_and_sinks_nobody(
    client: httpx2.AsyncClient, broken: dict[str, Any], field: str
) -> None:
    answer = await post(client, event(1), event(2, **broken), event(3))
    first, second, third = answer["results"]
    assert (first["status"], third["status"]) == ("accepted", "accepted")
    assert second["status"] == "rejected"
    assert second["reason"].startswith(f"{field}: ")
    assert len(await stored(client)) == 2


async def test_a_lone_bad_item_is_an_error_that_names_the_field(
    client: httpx2.AsyncClient,
) -> None:
    response = await client.post("/v1/interactions", json=event(1, occurred_at="yesterday"))
    assert fields(problem(response, 422, "invalid-field")) == {"occurred_at"}


async def test_ndjson_takes_good_lines_and_rejects_the_others(client: httpx2.AsyncClient) -> None:
    lines = [json.dumps(event(1)), "{not json", "", json.dumps(event(2)), "[]"]
    response = await send(client, "\r\n".join(lines), NDJSON)
    assert [item["status"] for item in response.json()["results"]] == [
        "accepted",
        "rejected",
        "accepted",
        "rejected",
    ]


async def test_a_line_separator_inside_a_text_does_not_split_an_ndjson_line(
    client: httpx2.AsyncClient,
) -> None:
    line = json.dumps(event(1, text="Bread\u2028and\x85butter"), ensure_ascii=False)
    response = await send(client, line.encode(), NDJSON)
    assert response.json()["accepted"] == 1
    assert (await stored(client))[0]["text"] == "Bread\u2028and\x85butter"


async def test_a_cloud_event_becomes_an_interaction(client: httpx2.AsyncClient) -> None:
    response = await send(client, json.dumps(cloud_event(1)), CLOUD_EVENT)
    assert response.json()["accepted"] == 1
    (kept,) = await stored(client)
    assert (kept["source"], kept["event_id"]) == ("/shop", "ce-1")
    assert (kept["type"], kept["text"]) == ("com.example.review", "Five stars for this flour.")
    assert kept["attributes"] == {"stars": 5}


async def test_a_cloud_event_batch_answers_each_event(client: httpx2.AsyncClient) -> None:
    without_subject = {k: v for k, v in cloud_event(2).items() if k != "subject"}
    batch = [cloud_event(1), without_subject, cloud_event(3, specversion="0.3"), cloud_event(1)]
    response = await send(client, json.dumps(batch), CLOUD_EVENTS)
    assert [item["status"] for item in response.json()["results"]] == [
        "accepted",
        "rejected",
        "rejected",
        "duplicate",
    ]


async def test_a_cloud_event_of_plain_text_keeps_the_text(client: httpx2.AsyncClient) -> None:
    await send(client, json.dumps(cloud_event(1, data="Good flour.")), CLOUD_EVENT)
    assert (await stored(client))[0]["text"] == "Good flour."


async def test_a_cloud_event_in_binary_mode_has_its_attributes_in_headers(
    client: httpx2.AsyncClient,
) -> None:
    headers = {f"ce-{name}": value for name, value in cloud_event(1).items() if name != "data"}
    headers["ce-subject"] = "Zo%C3%AB"
    content = json.dumps(cloud_event(1)["data"])
    response = await send(client, content, "application/json; charset=utf-8", **headers)
    (result,) = response.json()["results"]
    assert (result["status"], result["user_id"], result["event_id"]) == ("accepted", "Zoë", "ce-1")
    (kept,) = await stored(client, "Zoë")
    assert (kept["source"], kept["type"]) == ("/shop", "com.example.review")
    assert kept["occurred_at"] == "2026-02-01T10:00:00Z"
    assert (kept["text"], kept["attributes"]) == ("Five stars for this flour.", {"stars": 5})


async def test_a_cloud_event_in_binary_mode_may_bring_plain_text(
    client: httpx2.AsyncClient,
) -> None:
    await send(client, "Good flour.", "text/plain", **BINARY)
    assert (await stored(client))[0]["text"] == "Good flour."


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"ce-subject": ""}, "subject"),
        ({"ce-specversion": "0.3"}, "specversion"),
        ({"ce-time": "yesterday"}, "time"),
        ({"ce-subject": "%00"}, "subject"),
        ({"ce-id": "%0A"}, "id"),
        ({"ce-type": "%FF"}, "type"),
    ],
)
async def test_a_bad_cloud_event_in_binary_mode_names_the_attribute(
    client: httpx2.AsyncClient, changes: dict[str, str], field: str
) -> None:
    response = await send(client, "Good flour.", "text/plain", **{**BINARY, **changes})
    assert fields(problem(response, 422, "invalid-field")) == {field}


async def test_the_attributes_of_a_cloud_event_belong_to_its_idempotent_request(
    client: httpx2.AsyncClient,
) -> None:
    sent = {**BINARY, "Idempotency-Key": "order-66"}
    assert (await send(client, "Flour.", "text/plain", **sent)).is_success
    again = await send(client, "Flour.", "text/plain", **{**sent, "ce-id": "2"})
    problem(again, 422, "idempotency-key-reused")


@pytest.mark.parametrize(
    "number",
    [
        *("9223372036854775807", "18446744073709551615", "-9223372036854775808", "0.1", "1.0"),
        *("0.30000000000000004", "123456789.123456789", "1e-38", "-1.25e15"),
    ],
)
async def test_a_number_comes_back_as_it_was_sent(client: httpx2.AsyncClient, number: str) -> None:
    line = f'{{"user_id": "ana", "attributes": {{"a": [{{"n": {number}}}]}}}}'
    assert (await send(client, line, NDJSON)).json()["accepted"] == 1
    assert await attributes_of(client) == json.loads(line)["attributes"]


@pytest.mark.parametrize("number", ["18446744073709551616", "-9223372036854775809", "1e308"])
async def test_a_number_that_could_not_is_refused_by_field(
    client: httpx2.AsyncClient, number: str
) -> None:
    line = f'{{"user_id": "ana", "attributes": {{"a": [{{"n": {number}}}]}}}}'
    response = await send(client, line, "application/json")
    assert fields(problem(response, 422, "invalid-field")) == {"attributes"}


async def test_of_a_key_that_comes_twice_the_last_value_counts(client: httpx2.AsyncClient) -> None:
    line = '{"user_id": "eve", "user_id": "ana", "attributes": {"a": 1, "a": 2}}'
    await send(client, line, NDJSON)
    assert await attributes_of(client) == {"a": 2}


async def test_the_deepest_attributes_that_are_taken_come_back(client: httpx2.AsyncClient) -> None:
    deepest = b'{"user_id": "ana", "attributes": {"a": %s}}' % (b"[" * 32 + b"]" * 32)
    assert (await send(client, deepest, "application/json")).json()["accepted"] == 1
    assert await attributes_of(client) == json.loads(deepest)["attributes"]


@pytest.mark.parametrize(
    ("content", "media_type"),
    [(b'{"interactions": []}', "application/json"), (b"[]", CLOUD_EVENTS), (b"\n\n", NDJSON)],
)
async def test_an_empty_batch_is_an_error(
    client: httpx2.AsyncClient, content: bytes, media_type: str
) -> None:
    problem(await send(client, content, media_type), 400, "invalid-body")


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_another_media_type_is_refused(client: httpx2.AsyncClient, media_type: str) -> None:
    response = await send(client, json.dumps(event(1)), media_type)
    assert "application/x-ndjson" in problem(response, 415, "unsupported-media-type")["detail"]


async def test_the_media_type_may_carry_a_charset(client: httpx2.AsyncClient) -> None:
    response = await send(client, json.dumps(event(1)), "Application/JSON; charset=utf-8")
    assert response.status_code == 200


async def test_a_thousand_items_are_taken_and_one_more_is_not(client: httpx2.AsyncClient) -> None:
    lines = [json.dumps({"user_id": "ana", "event_id": str(n), "text": "b"}) for n in range(1_001)]
    too_many = await send(client, "\n".join(lines), NDJSON)
    assert problem(too_many, 413, "too-large")["limit"] == 1_000
    taken = await send(client, "\n".join(lines[:1_000]), NDJSON)
    assert taken.json()["accepted"] == 1_000


async def test_a_body_over_500_kb_is_refused_whether_its_length_is_declared_or_not(
    client: httpx2.AsyncClient,
) -> None:
    async def in_pieces() -> Any:
        for _ in range(51):
            yield b" " * 10_000

    declared = await send(client, b" " * 500_001, "application/json")
    assert problem(declared, 413, "too-large")["limit"] == 500_000
    chunked = await client.post(
        "/v1/interactions", content=in_pieces(), headers={"Content-Type": "application/json"}
    )
    problem(chunked, 413, "too-large")


async def test_an_item_of_just_32_kb_is_taken(client: httpx2.AsyncClient) -> None:
    answer = await post(client, event(1, text="x" * 31_998))
    assert answer["accepted"] == 1
