"""The queue of a project over HTTP: what waits, what is parked, and how it is woken."""

import httpx2

from service.worker import Worker
from tests.histories import Sql
from tests.integration.api.calls import fields, get, history, post, problem, work_off

QUEUE = "/v1/regenerations"
PARK = """
update regenerations set parked_at = now(), due_at = 'infinity', attempts = 5,
    last_error = 'GeneratorUnavailable: no answer'
where project_id = :project_id and user_id = :user_id
"""


async def states(client: httpx2.AsyncClient, state: str = "all") -> dict[str, str]:
    found = await get(client, QUEUE, state=state)
    return {job["user_id"]: job["state"] for job in found["regenerations"]}


async def test_an_empty_queue_is_an_empty_list(client: httpx2.AsyncClient) -> None:
    assert await get(client, QUEUE) == {"regenerations": []}


async def test_what_waits_and_what_is_parked_are_told_apart(
    client: httpx2.AsyncClient, sql: Sql
) -> None:
    await post(client, *history(6, "ana"), *history(6, "bo"))
    await sql(PARK, user_id="bo")
    assert await states(client) == {"ana": "due", "bo": "parked"}
    assert await states(client, "parked") == {"bo": "parked"}
    assert await states(client, "waiting") == {"ana": "due"}


async def test_a_parked_job_says_why(client: httpx2.AsyncClient, sql: Sql) -> None:
    await post(client, *history(6))
    await sql(PARK, user_id="ana")
    (job,) = (await get(client, QUEUE))["regenerations"]
    assert (job["attempts"], job["last_error"]) == (5, "GeneratorUnavailable: no answer")
    assert job["parked_at"] and job["due_at"] is None


async def test_one_user_is_woken_and_gets_a_profile(
    client: httpx2.AsyncClient, sql: Sql, worker: Worker
) -> None:
    await post(client, *history(6, "ana"), *history(6, "bo"))
    for user_id in ("ana", "bo"):
        await sql(PARK, user_id=user_id)
    response = await client.post(f"{QUEUE}/requeue", json={"user_id": "ana"})
    assert response.json() == {"requeued": 1}
    await work_off(worker)
    assert (await get(client, "/v1/users/ana/profile"))["version"] == 1
    assert await states(client) == {"bo": "parked"}


async def test_all_are_woken_at_once(client: httpx2.AsyncClient, sql: Sql) -> None:
    await post(client, *history(6, "ana"), *history(6, "bo"))
    for user_id in ("ana", "bo"):
        await sql(PARK, user_id=user_id)
    assert (await client.post(f"{QUEUE}/requeue", json={})).json() == {"requeued": 2}
    assert await states(client) == {"ana": "due", "bo": "due"}


async def test_what_is_not_parked_is_not_woken(client: httpx2.AsyncClient) -> None:
    await post(client, *history(6))
    response = await client.post(f"{QUEUE}/requeue", json={"user_id": "ana"})
    assert response.json() == {"requeued": 0}


async def test_another_projects_queue_is_neither_shown_nor_woken(
    client: httpx2.AsyncClient, other_client: httpx2.AsyncClient, sql: Sql
) -> None:
    await post(client, *history(6))
    await sql(PARK, user_id="ana")
    assert await states(other_client) == {}
    assert (await other_client.post(f"{QUEUE}/requeue", json={})).json() == {"requeued": 0}
    assert await states(client) == {"ana": "parked"}


async def test_an_id_that_can_be_none_is_refused(client: httpx2.AsyncClient) -> None:
    response = await client.post(f"{QUEUE}/requeue", json={"user_id": "a\u2028"})
    assert fields(problem(response, 422, "invalid-field")) == {"user_id"}


async def test_an_unknown_state_is_refused(client: httpx2.AsyncClient) -> None:
    response = await client.get(QUEUE, params={"state": "lost"})
    assert fields(problem(response, 422, "invalid-field")) == {"state"}
