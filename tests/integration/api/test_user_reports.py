"""The users of a project: listed by the beginning of their ids, and explained one by one."""

from urllib.parse import quote

import httpx2
import pytest

from service.worker import Worker
from tests.integration.api.calls import event, fields, get, post, problem, write_profile

USERS = "/v1/users"


async def ids(client: httpx2.AsyncClient, **query: object) -> list[str]:
    return [user["user_id"] for user in (await get(client, USERS, **query))["users"]]


async def test_a_project_without_users_lists_none(client: httpx2.AsyncClient) -> None:
    assert await get(client, USERS) == {"users": [], "next_cursor": None}


async def test_a_user_is_listed_with_what_serves(
    client: httpx2.AsyncClient, worker: Worker
) -> None:
    profile = await write_profile(client, worker)
    (user,) = (await get(client, USERS))["users"]
    assert user == {
        "user_id": "ana",
        "revision": 1,
        "interaction_count": 6,
        "first_seen_at": "2026-01-05T18:00:00Z",
        "last_seen_at": "2026-01-10T18:00:00Z",
        "profiling": "on",
        "profile_version": 1,
        "profile_revision": 1,
        "generator": profile["generator"],
        "written_at": profile["created_at"],
        "windows": 0,
        "score": None,
    }


async def test_of_a_paused_user_no_profile_is_listed(
    client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    await client.put(f"{USERS}/ana/profiling", json={"profiling": "paused"})
    (user,) = (await get(client, USERS))["users"]
    assert (user["profiling"], user["profile_version"]) == ("paused", None)


async def test_pages_hold_every_user_once_in_key_order(client: httpx2.AsyncClient) -> None:
    # In byte order: capitals first, then what lies beyond ASCII.
    names = ["Zoe", "ana", "ana:2", "anaïs", "bo", "c%00d", "éva", "\U0001f600"]
    await post(client, *(event(1, name) for name in reversed(names)))
    found, cursor = [], None
    while True:
        page = await get(client, USERS, limit=3, **({"cursor": cursor} if cursor else {}))
        found += [user["user_id"] for user in page["users"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == names


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("an", ["ana", "ana%", "ana_x"]),
        ("ana%", ["ana%"]),
        ("ana_", ["ana_x"]),
        ("Ana", []),
        ("z", ["z", "z\U0010fffe"]),
        ("", ["ana", "ana%", "ana_x", "bo", "z", "z\U0010fffe"]),
    ],
)
async def test_a_prefix_is_taken_as_it_is(
    client: httpx2.AsyncClient, prefix: str, found: list[str]
) -> None:
    await post(
        client, *(event(1, name) for name in ("ana", "ana%", "ana_x", "bo", "z", "z\U0010fffe"))
    )
    assert await ids(client, prefix=prefix) == found


async def test_a_prefix_with_control_characters_is_refused(client: httpx2.AsyncClient) -> None:
    response = await client.get(USERS, params={"prefix": "a\x00"})
    assert fields(problem(response, 422, "invalid-field")) == {"prefix"}


@pytest.mark.parametrize("cursor", ["not a cursor", "é", "AA", "_w"])
async def test_a_cursor_that_was_not_issued_is_refused(
    client: httpx2.AsyncClient, cursor: str
) -> None:
    problem(await client.get(USERS, params={"cursor": cursor}), 400, "invalid-cursor")


async def test_another_projects_users_are_not_listed(
    client: httpx2.AsyncClient, other_client: httpx2.AsyncClient
) -> None:
    await post(client, event(1))
    assert await ids(other_client) == []


async def test_a_user_is_explained(client: httpx2.AsyncClient, worker: Worker) -> None:
    await write_profile(client, worker)
    report = await get(client, f"{USERS}/ana")
    assert (report["user_id"], report["interaction_count"]) == ("ana", 6)
    assert report["verdict"] == "idle: the profile has read the whole history"
    assert report["regeneration"] is None
    assert (report["profile_version"], report["newest_version"]) == (1, 1)


async def test_of_a_paused_user_no_version_serves(
    client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    await client.put(f"{USERS}/ana/profiling", json={"profiling": "paused"})
    report = await get(client, f"{USERS}/ana")
    assert (report["profile_version"], report["newest_version"]) == (None, 1)
    assert report["verdict"] == "paused: the user objected to profiling"


async def test_what_waits_for_a_user_is_in_the_report(client: httpx2.AsyncClient) -> None:
    await post(client, *(event(number) for number in range(6)))
    waiting = (await get(client, f"{USERS}/ana"))["regeneration"]
    assert (waiting["state"], waiting["requested_revision"]) == ("due", 1)


async def test_who_has_no_profile_has_no_version(client: httpx2.AsyncClient) -> None:
    await post(client, event(1))
    report = await get(client, f"{USERS}/ana")
    assert (report["profile_version"], report["newest_version"]) == (None, None)


async def test_too_few_interactions_are_explained(client: httpx2.AsyncClient) -> None:
    await post(client, event(1))
    assert (await get(client, f"{USERS}/ana"))["verdict"] == "too few interactions: 1 of 5"


async def test_an_id_with_any_character_can_be_asked_for(client: httpx2.AsyncClient) -> None:
    await post(client, event(1, "a&b=%00:ü?#"))
    path = f"{USERS}/{quote('a&b=%00:ü?#', safe='')}"
    assert (await get(client, path))["user_id"] == "a&b=%00:ü?#"


async def test_an_unknown_user_is_not_found(client: httpx2.AsyncClient) -> None:
    problem(await client.get(f"{USERS}/eve"), 404, "user-not-found")
