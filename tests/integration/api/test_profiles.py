"""Reading a profile: its shape, conditional reads, reading one's own writes, why there is none."""

import asyncio

import httpx2

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

PROFILE = "/v1/users/ana/profile"


async def test_a_profile_has_its_documented_shape(
    client: httpx2.AsyncClient, worker: Worker
) -> None:
    profile = await write_profile(client, worker)
    assert profile["user_id"] == "ana"
    assert (profile["version"], profile["revision"], profile["stale"]) == (1, 1, False)
    assert (profile["status"], profile["origin"]) == ("serving", "generated")
    assert profile["text"] == "\n".join(s["text"] for s in profile["statements"])
    assert 0 < profile["tokens"] <= 160
    assert profile["scores"] is None
    assert set(profile["statements"][0]) == {"id", "kind", "text", "evidence"}


async def test_every_statement_is_supported_by_events_of_the_history(
    client: httpx2.AsyncClient, worker: Worker
) -> None:
    profile = await write_profile(client, worker)
    sent = {sent["event_id"] for sent in history(6)}
    for statement in profile["statements"]:
        assert statement["evidence"]
        assert {(e["source"], e["event_id"]) for e in statement["evidence"]} <= {
            ("api", event_id) for event_id in sent
        }


async def test_the_cached_profile_and_its_version_in_postgres_are_the_same(
    client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    cached = await client.get(PROFILE)
    version = await client.get(f"{PROFILE}/versions/1")
    assert version.json() == {**cached.json(), "stale": None}


async def test_a_matching_etag_answers_304_without_a_body(
    client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    etag = (await client.get(PROFILE)).headers["etag"]
    for condition in (etag, f'"other", W/{etag}', "*"):
        response = await client.get(PROFILE, headers={"If-None-Match": condition})
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["etag"] == etag


async def test_another_etag_answers_the_profile(client: httpx2.AsyncClient, worker: Worker) -> None:
    await write_profile(client, worker)
    response = await client.get(PROFILE, headers={"If-None-Match": '"other"'})
    assert response.status_code == 200
    assert response.headers["cache-control"] == "private, no-cache"


async def test_new_events_make_the_profile_stale_and_change_its_etag(
    client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    fresh = await client.get(PROFILE)
    await post(client, event(50))
    stale = await client.get(PROFILE, headers={"If-None-Match": fresh.headers["etag"]})
    assert stale.json() == {**fresh.json(), "stale": True}


async def test_a_duplicate_does_not_make_the_profile_stale(
    client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    await post(client, event(1))
    assert (await get(client, PROFILE))["stale"] is False


async def test_waiting_for_a_revision_reads_ones_own_writes(
    client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    revision = (await post(client, event(50)))["users"][0]["revision"]
    waiting = asyncio.create_task(get(client, PROFILE, min_revision=revision, wait=30))
    while not waiting.done():
        await work_off(worker)
        await asyncio.wait({waiting}, timeout=0.02)
    profile = waiting.result()
    assert (profile["revision"], profile["version"]) == (revision, 2)


async def test_a_revision_that_is_not_reached_in_time_is_a_conflict(
    client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    await post(client, event(50))
    response = await client.get(PROFILE, params={"min_revision": 2, "wait": 0.1})
    conflict = problem(response, 409, "revision-not-reached")
    assert (conflict["min_revision"], conflict["revision"]) == (2, 1)


async def test_a_revision_that_the_history_does_not_have_is_refused(
    client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    response = await client.get(PROFILE, params={"min_revision": 9, "wait": 30})
    assert fields(problem(response, 422, "invalid-field")) == {"min_revision"}


async def test_an_unknown_user_is_not_found(client: httpx2.AsyncClient) -> None:
    problem(await client.get(PROFILE), 404, "user-not-found")
    problem(await client.get(PROFILE, params={"min_revision": 1}), 404, "user-not-found")


async def test_a_user_without_a_profile_yet_is_told_how_long_the_history_is(
    client: httpx2.AsyncClient, worker: Worker
) -> None:
    await post(client, *history(4))
    await work_off(worker)
    not_found = problem(await client.get(PROFILE), 404, "profile-not-found")
    assert (not_found["interactions"], not_found["revision"]) == (4, 1)


async def test_an_unknown_query_parameter_changes_nothing(client: httpx2.AsyncClient) -> None:
    await post(client, event(1))
    problem(await client.get(PROFILE, params={"verbose": 1}), 404, "profile-not-found")


async def test_a_paused_user_has_no_profile_until_profiling_goes_on(
    client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    await client.put("/v1/users/ana/profiling", json={"profiling": "paused"})
    problem(await client.get(PROFILE), 409, "profiling-paused")
    problem(await client.get(PROFILE, params={"min_revision": 1}), 409, "profiling-paused")


async def test_ids_that_look_alike_are_different_users(
    client: httpx2.AsyncClient, worker: Worker
) -> None:
    ids = [
        "a",
        "a%",
        "a%25",
        "a:b",
        "a&b=c",
        "a+b",
        "a b",
        "a?b",
        "a#b",
        "é",
        "e\u0301",
        "A",
        "日本",
    ]
    await post(client, *(event(n, user_id) for user_id in ids for n in range(5)))
    await work_off(worker)
    for user_id in ids:
        path = httpx2.URL("http://bump.test").copy_with(
            raw_path=b"/v1/users/" + _quoted(user_id) + b"/profile"
        )
        response = await client.get(path)
        assert response.json()["user_id"] == user_id


async def test_another_projects_user_is_not_found(
    client: httpx2.AsyncClient, other_client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    problem(await other_client.get(PROFILE), 404, "user-not-found")


def _quoted(segment: str) -> bytes:
    return "".join(f"%{byte:02X}" for byte in segment.encode()).encode()
