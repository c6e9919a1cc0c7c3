"""A user's data: the history page by page, export, erasure, objection."""

import base64
import json
from itertools import product
from typing import Any

import httpx2
import pytest

from service.worker import Worker
from tests.integration.api.calls import (
    event,
    fields,
    get,
    history,
    post,
    problem,
    work_off,
    write_profile,
)

USER = "/v1/users/ana"


async def pages(client: httpx2.AsyncClient, limit: int) -> list[list[str]]:
    """The event ids of every page, newest first."""
    found, cursor = [], None
    while True:
        query = {"limit": limit} | ({"cursor": cursor} if cursor else {})
        page = await get(client, f"{USER}/interactions", **query)
        found.append([interaction["event_id"] for interaction in page["interactions"]])
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def cursor_of(document: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


async def test_pages_cover_the_history_once_newest_first(client: httpx2.AsyncClient) -> None:
    await post(client, *history(7))
    assert await pages(client, 3) == [
        ["ana-6", "ana-5", "ana-4"],
        ["ana-3", "ana-2", "ana-1"],
        ["ana-0"],
    ]


async def test_events_of_the_same_instant_are_neither_skipped_nor_repeated(
    client: httpx2.AsyncClient,
) -> None:
    await post(client, *(event(0, event_id=f"{n}", source=f"s{n % 2}") for n in range(7)))
    seen = [event_id for page in await pages(client, 2) for event_id in page]
    assert sorted(seen) == [str(n) for n in range(7)]


async def test_pages_stay_in_place_while_new_and_late_events_arrive(
    client: httpx2.AsyncClient,
) -> None:
    await post(client, *history(4))
    first = await get(client, f"{USER}/interactions", limit=2)
    await post(client, event(9), event(3, event_id="late", occurred_at="2026-01-08T19:00:00Z"))
    second = await get(client, f"{USER}/interactions", limit=2, cursor=first["next_cursor"])
    assert [i["event_id"] for i in first["interactions"]] == ["ana-3", "ana-2"]
    assert [i["event_id"] for i in second["interactions"]] == ["ana-1", "ana-0"]


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "é",
        "!!!!",
        cursor_of(7),
        cursor_of([1, 2, 3]),
        cursor_of(["2026-01-01T00:00:00", "api", "1"]),
        cursor_of(["2026-01-01T00:00:00Z", "a\x00", "1"]),
        cursor_of(["2026-01-01T00:00:00Z", "api"]),
        cursor_of(["0001-01-01T00:00:00+23:59", "api", "1"]),
        cursor_of(["9999-12-31T23:59:59-23:59", "api", "1"]),
    ],
)
async def test_a_cursor_that_was_not_issued_is_refused(
    client: httpx2.AsyncClient, cursor: str
) -> None:
    await post(client, event(1))
    response = await client.get(f"{USER}/interactions", params={"cursor": cursor})
    assert fields(problem(response, 400, "invalid-cursor")) == {"cursor"}


async def test_a_cursor_of_one_user_shows_nothing_of_another(client: httpx2.AsyncClient) -> None:
    await post(client, *history(3, "ben"), *history(3))
    page = await get(client, "/v1/users/ben/interactions", limit=1)
    other = await get(client, f"{USER}/interactions", cursor=page["next_cursor"])
    assert {i["event_id"].partition("-")[0] for i in other["interactions"]} == {"ana"}


async def test_a_cursor_of_another_project_shows_nothing_of_it(
    client: httpx2.AsyncClient, other_client: httpx2.AsyncClient
) -> None:
    await post(other_client, *history(3))
    await post(client, event(0, event_id="own"))
    page = await get(other_client, f"{USER}/interactions", limit=1)
    found = await get(client, f"{USER}/interactions", cursor=page["next_cursor"])
    assert [i["event_id"] for i in found["interactions"]] == ["own"]


async def test_a_cursor_that_was_tampered_with_is_refused_or_stays_in_the_history(
    client: httpx2.AsyncClient,
) -> None:
    await post(client, *history(3), *history(3, "ben"))
    cursor = (await get(client, f"{USER}/interactions", limit=1))["next_cursor"]
    for place, bit in product(range(len(cursor)), range(7)):
        flipped = cursor[:place] + chr(ord(cursor[place]) ^ 1 << bit) + cursor[place + 1 :]
        response = await client.get(f"{USER}/interactions", params={"cursor": flipped})
        if response.status_code == 200:
            found = {i["event_id"] for i in response.json()["interactions"]}
            assert found <= {"ana-0", "ana-1", "ana-2"}
        else:
            assert fields(problem(response, 400, "invalid-cursor")) == {"cursor"}


async def test_an_endless_cursor_is_refused(client: httpx2.AsyncClient) -> None:
    response = await client.get(f"{USER}/interactions", params={"cursor": "A" * 50_000})
    assert fields(problem(response, 422, "invalid-field")) == {"cursor"}


@pytest.mark.parametrize("limit", ["0", "501", "x", "1e3"])
async def test_a_page_size_out_of_bounds_is_refused(client: httpx2.AsyncClient, limit: str) -> None:
    response = await client.get(f"{USER}/interactions", params={"limit": limit})
    assert fields(problem(response, 422, "invalid-field")) == {"limit"}


async def test_the_history_of_an_unknown_user_is_not_found(client: httpx2.AsyncClient) -> None:
    for path in ("interactions", "export"):
        problem(await client.get(f"{USER}/{path}"), 404, "user-not-found")


async def test_an_export_holds_everything(client: httpx2.AsyncClient, worker: Worker) -> None:
    profile = await write_profile(client, worker)
    await client.put(f"{USER}/profile/corrections", json={"pinned": ["Allergic to nuts."]})
    exported = await get(client, f"{USER}/export")
    assert [i["event_id"] for i in exported["interactions"]] == [
        f"ana-{n}" for n in range(5, -1, -1)
    ]
    assert [p["version"] for p in exported["profiles"]] == [2, 1]
    assert exported["profiles"][1]["statements"] == profile["statements"]
    assert exported["corrections"] == {"pinned": ["Allergic to nuts."], "suppressed": []}
    assert (exported["revision"], exported["interaction_count"]) == (1, 6)
    assert exported["first_seen_at"] == "2026-01-05T18:00:00Z"
    assert exported["last_seen_at"] == "2026-01-10T18:00:00Z"
    assert exported["profiling"] == "on"


async def test_an_erasure_answers_a_receipt_without_the_users_id(
    client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    response = await client.delete(USER)
    receipt = response.json()
    assert (receipt["interactions"], receipt["profiles"]) == (6, 1)
    assert len(bytes.fromhex(receipt["user_digest"])) == 16
    assert receipt["receipt_id"] and receipt["erased_at"]
    assert "ana" not in response.text


async def test_after_an_erasure_there_is_no_such_user(
    client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    await client.delete(USER)
    for path in ("profile", "interactions", "export"):
        problem(await client.get(f"{USER}/{path}"), 404, "user-not-found")
    problem(await client.get(f"{USER}/profile/versions"), 404, "user-not-found")
    problem(await client.delete(USER), 404, "user-not-found")


async def test_events_after_an_erasure_start_a_new_history(
    client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    await client.delete(USER)
    answer = await post(client, *history(6))
    assert answer["users"] == [{"user_id": "ana", "revision": 1}]
    await work_off(worker)
    assert (await get(client, f"{USER}/profile"))["version"] == 1


async def test_paused_profiling_writes_nothing_until_it_is_on_again(
    client: httpx2.AsyncClient, worker: Worker
) -> None:
    await post(client, *history(6))
    paused = await client.put(f"{USER}/profiling", json={"profiling": "paused"})
    assert paused.json() == {"user_id": "ana", "profiling": "paused"}
    await post(client, event(7))
    await work_off(worker)
    problem(await client.get(f"{USER}/profile/versions"), 409, "profiling-paused")
    await client.put(f"{USER}/profiling", json={"profiling": "on"})
    await work_off(worker)
    assert (await get(client, f"{USER}/profile"))["revision"] == 2


async def test_profiling_knows_two_states_only(client: httpx2.AsyncClient) -> None:
    await post(client, event(1))
    response = await client.put(f"{USER}/profiling", json={"profiling": "off"})
    assert fields(problem(response, 422, "invalid-field")) == {"profiling"}


async def test_profiling_of_an_unknown_user_is_not_found(client: httpx2.AsyncClient) -> None:
    response = await client.put(f"{USER}/profiling", json={"profiling": "paused"})
    problem(response, 404, "user-not-found")
