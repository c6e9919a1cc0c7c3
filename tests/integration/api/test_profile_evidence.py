"""On what a profile stands: its evidence, its scores, the corrections that outrank it."""

import httpx2
import pytest

from service.worker import Worker
from tests.conftest import ApiKeyMaker
from tests.integration.api.calls import event, get, post, problem, write_profile

USER = "/v1/users/ana"
ASKED = {"user_id": "ana", "input": "What should I bake?"}


async def test_a_version_comes_with_the_interactions_behind_its_statements(
    client: httpx2.AsyncClient, worker: Worker
) -> None:
    profile = await write_profile(client, worker)
    named = {e["event_id"] for statement in profile["statements"] for e in statement["evidence"]}
    found = (await get(client, f"{USER}/profile/versions/1/evidence"))["interactions"]
    assert {interaction["event_id"] for interaction in found} == named
    assert all("Baked" in interaction["text"] for interaction in found)
    times = [interaction["occurred_at"] for interaction in found]
    assert times == sorted(times, reverse=True)


async def test_another_users_interactions_are_no_evidence(
    client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker, "bo")
    await write_profile(client, worker)
    found = (await get(client, f"{USER}/profile/versions/1/evidence"))["interactions"]
    assert {interaction["event_id"].split("-")[0] for interaction in found} == {"ana"}


async def test_a_version_of_pinned_sentences_alone_has_no_evidence(
    client: httpx2.AsyncClient, worker: Worker
) -> None:
    profile = await write_profile(client, worker)
    ids = [statement["id"] for statement in profile["statements"]]
    await client.put(
        f"{USER}/profile/corrections", json={"pinned": ["Allergic to nuts."], "suppressed": ids}
    )
    assert await get(client, f"{USER}/profile/versions/2/evidence") == {"interactions": []}


async def test_an_unscored_profile_has_no_scores(
    client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    assert await get(client, f"{USER}/profile/scores") == {"judge": "lexical", "scores": []}


async def test_corrections_are_read_as_they_were_put(client: httpx2.AsyncClient) -> None:
    await post(client, event(1))
    assert await get(client, f"{USER}/profile/corrections") == {"pinned": [], "suppressed": []}
    corrections = {"pinned": ["Allergic to nuts."], "suppressed": ["Bakes bread.", "0123456789ab"]}
    await client.put(f"{USER}/profile/corrections", json=corrections)
    assert await get(client, f"{USER}/profile/corrections") == corrections


@pytest.mark.parametrize("path", ["profile/versions/1/evidence", "profile/scores"])
async def test_of_a_paused_user_nothing_is_shown(
    client: httpx2.AsyncClient, worker: Worker, path: str
) -> None:
    await write_profile(client, worker)
    await client.put(f"{USER}/profiling", json={"profiling": "paused"})
    problem(await client.get(f"{USER}/{path}"), 409, "profiling-paused")


async def test_an_unknown_version_has_no_evidence(
    client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    problem(await client.get(f"{USER}/profile/versions/9/evidence"), 404, "version-not-found")


class TestThePromptOfAnAnswer:
    async def test_is_assembled_from_the_version_that_it_named(
        self, client: httpx2.AsyncClient, worker: Worker
    ) -> None:
        await write_profile(client, worker)
        before = (await client.post("/v1/personalize/prompt", json=ASKED)).json()
        await client.put(f"{USER}/profile/corrections", json={"pinned": ["Allergic to nuts."]})
        now = (await client.post("/v1/personalize/prompt", json=ASKED)).json()
        assert "Allergic" in now["messages"][-1]["content"]
        asked = {**ASKED, "profile_version": before["profile_version"]}
        then = (await client.post("/v1/personalize/prompt", json=asked)).json()
        assert then == before

    async def test_needs_a_key_that_may_read(
        self, client: httpx2.AsyncClient, worker: Worker, make_key: ApiKeyMaker
    ) -> None:
        await write_profile(client, worker)
        headers = {"Authorization": f"Bearer {await make_key('personalize')}"}
        asked = {**ASKED, "profile_version": 1}
        response = await client.post("/v1/personalize/prompt", json=asked, headers=headers)
        assert problem(response, 403, "forbidden")["scope"] == "read"

    async def test_of_an_unknown_version_or_user_is_not_found(
        self, client: httpx2.AsyncClient, worker: Worker
    ) -> None:
        await write_profile(client, worker)
        for changes, slug in (
            ({"profile_version": 9}, "version-not-found"),
            ({"profile_version": 1, "user_id": "eve"}, "user-not-found"),
        ):
            response = await client.post("/v1/personalize/prompt", json={**ASKED, **changes})
            problem(response, 404, slug)

    async def test_an_answer_takes_no_version(self, client: httpx2.AsyncClient) -> None:
        asked = {**ASKED, "profile_version": 1}
        problem(await client.post("/v1/personalize", json=asked), 422, "invalid-field")
