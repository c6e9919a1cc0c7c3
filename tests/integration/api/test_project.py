"""The project behind a key: what it is, what comes in, how fresh and how good its profiles are."""

import httpx2
import pytest
from pydantic import SecretStr

from service.worker import Worker
from tests.conftest import ApiKeyMaker
from tests.faults.processes import eventually
from tests.histories import Add, Sql
from tests.integration.api.calls import event, get, history, post, problem, work_off
from tests.integration.api.conftest import ClientWith
from tests.scored_project import USERS, ScoredProject

PROJECT = "/v1/project"


async def arrived(client: httpx2.AsyncClient) -> int:
    arrivals = (await get(client, f"{PROJECT}/activity"))["arrivals"]
    return sum(span["count"] for span in arrivals)


async def arrived_in_the_end(client: httpx2.AsyncClient, count: int) -> int:
    """How many are counted once there are `count`: a process tells Redis once a second."""

    async def all_told() -> bool:
        return await arrived(client) >= count

    await eventually(all_told, 10)
    return await arrived(client)


async def test_a_key_learns_its_project_and_scopes(
    client: httpx2.AsyncClient, project_id: str
) -> None:
    found = await get(client, PROJECT)
    assert found["project_id"] == project_id
    assert found["caller"].startswith("key:")
    assert found["scopes"] == ["admin", "ingest", "personalize", "read"]
    assert (found["generator"], found["judge"]) == ("extractive", "lexical")


async def test_a_key_without_the_scope_is_told_which_it_lacks(
    client: httpx2.AsyncClient, make_key: ApiKeyMaker
) -> None:
    headers = {"Authorization": f"Bearer {await make_key('read')}"}
    refusal = problem(await client.get(PROJECT, headers=headers), 403, "forbidden")
    assert refusal["scope"] == "admin"


class TestActivity:
    async def test_what_is_accepted_is_counted_once(self, client: httpx2.AsyncClient) -> None:
        await post(client, *history(4))
        await post(client, *history(6))  # four of them are duplicates
        assert await arrived_in_the_end(client, 6) == 6

    async def test_a_replayed_request_is_not_counted_again(
        self, client: httpx2.AsyncClient
    ) -> None:
        headers = {"Idempotency-Key": "k"}
        for _ in range(2):
            await client.post("/v1/interactions", json=event(1), headers=headers)
        await post(client, event(2))
        assert await arrived_in_the_end(client, 2) == 2

    async def test_projects_are_counted_apart(
        self, client: httpx2.AsyncClient, other_client: httpx2.AsyncClient
    ) -> None:
        await post(client, event(1))
        await post(other_client, *history(3))
        assert await arrived_in_the_end(other_client, 3) == 3
        assert await arrived_in_the_end(client, 1) == 1

    async def test_spans_follow_on_one_another_for_five_minutes(
        self, client: httpx2.AsyncClient
    ) -> None:
        activity = await get(client, f"{PROJECT}/activity")
        assert (activity["span_seconds"], len(activity["arrivals"])) == (5, 60)

    async def test_without_redis_the_queue_is_still_shown(self, client_with: ClientWith) -> None:
        async with client_with(redis_url=SecretStr("redis://127.0.0.1:1")) as client:
            await post(client, *history(6))
            activity = await get(client, f"{PROJECT}/activity")
            assert activity["arrivals"] is None
            assert activity["freshness"]["waiting"] == 1

    async def test_the_queue_is_counted_by_what_becomes_of_it(
        self, client: httpx2.AsyncClient, sql: Sql, worker: Worker
    ) -> None:
        await post(client, *history(6, "ana"), *history(6, "bo"), *history(6, "cy"))
        await sql("update regenerations set lease_token = 1 where user_id = 'bo'")
        await sql("update regenerations set parked_at = now() where user_id = 'cy'")
        await sql(
            "update regenerations set first_requested_at = now() - interval '1 hour'"
            " where user_id in ('ana', 'cy')"
        )
        freshness = (await get(client, f"{PROJECT}/activity"))["freshness"]
        assert 3600 <= freshness.pop("oldest_seconds") < 3700
        assert freshness == {"waiting": 1, "running": 1, "parked": 1}

    async def test_when_nothing_waits_profiles_are_fresh(
        self, client: httpx2.AsyncClient, worker: Worker
    ) -> None:
        await post(client, *history(6))
        await work_off(worker)
        freshness = (await get(client, f"{PROJECT}/activity"))["freshness"]
        assert freshness == {"waiting": 0, "running": 0, "parked": 0, "oldest_seconds": 0.0}


class TestQuality:
    async def test_without_scores_everything_is_empty(self, client: httpx2.AsyncClient) -> None:
        assert await get(client, f"{PROJECT}/quality") == {
            "judge": "lexical",
            "generators": [],
            "worst_users": [],
            "days": [],
        }

    async def test_scores_are_shown_by_project_and_by_user(
        self, client: httpx2.AsyncClient, add: Add, worker: Worker, quiet_queue: None
    ) -> None:
        project = ScoredProject(add, worker)
        await project.does(range(8))
        await project.does(range(8, 20))
        quality = await get(client, f"{PROJECT}/quality", worst=3)
        (served,) = quality["generators"]
        assert (served["generator"], served["status"]) == ("extractive", "serving")
        assert served["users"] == len(USERS) and served["windows"] >= len(USERS)
        assert len(quality["worst_users"]) == 3
        assert quality["worst_users"][0]["score"] <= quality["worst_users"][-1]["score"]
        assert quality["days"][0]["windows"] == served["windows"]
        scored = await get(client, f"/v1/users/{USERS[0]}/profile/scores")
        assert scored["judge"] == "lexical"
        assert [score["version"] for score in scored["scores"]] == [1] * len(scored["scores"])
        first = scored["scores"][0]
        assert first["first_occurred_at"] < first["last_occurred_at"]
        above_chance = first["forward"] + first["backward"] - first["chance"]
        assert first["score"] == pytest.approx(above_chance)
