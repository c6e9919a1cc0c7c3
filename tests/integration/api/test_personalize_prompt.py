"""`/v1/personalize/prompt` needs no downstream model; `/v1/personalize` says what to set."""

from typing import Any

import httpx2
import pytest

from service.worker import Worker
from tests.integration.api.calls import fields, history, post, problem, write_profile
from tests.integration.api.conftest import ClientWith

SYSTEM = {"role": "system", "content": "Answer in one sentence."}
QUESTION = {"role": "user", "content": "What should I bake?"}
PLAIN = {"profile_version": None, "profile_revision": None, "profile_stale": None}


async def assemble(client: httpx2.AsyncClient, **body: Any) -> dict[str, Any]:
    response = await client.post("/v1/personalize/prompt", json={"user_id": "ana", **body})
    assert response.status_code == 200, response.text
    prompt: dict[str, Any] = response.json()
    return prompt


async def test_the_profile_stands_as_data_before_the_users_input(
    client: httpx2.AsyncClient, worker: Worker
) -> None:
    profile = await write_profile(client, worker)
    prompt = await assemble(client, input="What should I bake?")
    system, user = prompt["messages"]
    assert (system["role"], user["role"]) == ("system", "user")
    assert user["content"] == (
        f"<user_profile>\n{profile['text']}\n</user_profile>\n\nWhat should I bake?"
    )
    assert not any(s["text"] in system["content"] for s in profile["statements"])
    assert (prompt["profile_version"], prompt["profile_revision"]) == (1, 1)
    assert prompt["profile_stale"] is False


async def test_messages_keep_their_order_and_the_callers_system_prompt(
    client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    answer = {"role": "assistant", "content": "Bread?"}
    prompt = await assemble(client, messages=[SYSTEM, QUESTION, answer, QUESTION])
    system, first, *rest = prompt["messages"]
    assert system["content"].startswith(SYSTEM["content"])
    assert first["content"].endswith(QUESTION["content"])
    assert rest == [answer, QUESTION]


async def test_an_unknown_user_gets_the_plain_messages(client: httpx2.AsyncClient) -> None:
    prompt = await assemble(client, messages=[SYSTEM, QUESTION])
    assert prompt["messages"] == [SYSTEM, QUESTION]
    assert {name: prompt[name] for name in PLAIN} == PLAIN


async def test_users_without_a_profile_or_with_paused_profiling_get_the_plain_messages(
    client: httpx2.AsyncClient, worker: Worker
) -> None:
    await post(client, *history(2, "new"))
    await write_profile(client, worker)
    await client.put("/v1/users/ana/profiling", json={"profiling": "paused"})
    for user_id in ("new", "ana"):
        prompt = await assemble(client, user_id=user_id, input="Hello")
        assert prompt["messages"] == [{"role": "user", "content": "Hello"}]


async def test_the_profile_takes_no_more_than_its_budget(
    client: httpx2.AsyncClient, worker: Worker, client_with: ClientWith
) -> None:
    profile = await write_profile(client, worker)
    plain = await assemble(client, user_id="nobody", input="Hi")
    async with client_with(prompt_profile_tokens=200) as small:
        prompt = await assemble(small, input="Hi")
    assert 0 < prompt["tokens"] - plain["tokens"] <= 200
    assert prompt["messages"][1]["content"].startswith("<user_profile>")
    assert len(prompt["messages"][1]["content"]) < len(profile["text"]) + 100


async def test_without_room_for_one_statement_the_prompt_stays_plain(
    client: httpx2.AsyncClient, worker: Worker, client_with: ClientWith
) -> None:
    await write_profile(client, worker)
    async with client_with(prompt_profile_tokens=10) as tiny:
        prompt = await assemble(tiny, input="Hi")
    assert prompt["messages"] == [{"role": "user", "content": "Hi"}]
    assert {name: prompt[name] for name in PLAIN} == PLAIN


async def test_the_profile_gives_way_to_a_conversation_that_fills_the_context(
    client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    conversation = [{"role": "user", "content": "flour " * 7_600}]
    prompt = await assemble(client, messages=conversation)
    assert prompt["messages"] == conversation
    assert prompt["tokens"] <= 8_192 - 512


async def test_messages_over_the_context_are_too_large(client: httpx2.AsyncClient) -> None:
    body = {"user_id": "ana", "input": "flour " * 9_000}
    problem(await client.post("/v1/personalize/prompt", json=body), 413, "too-large")
    body = {"user_id": "ana", "input": "Hi", "max_tokens": 8_192}
    problem(await client.post("/v1/personalize/prompt", json=body), 413, "too-large")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"input": ""}, "input"),
        ({"messages": []}, "messages"),
        ({"messages": [QUESTION], "input": "Hi"}, "body"),
        ({"input": None}, "body"),
        ({"user_id": "a/b"}, "user_id"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{**QUESTION, "name": "x"}]}, "messages.0.name"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"logit_bias": {}}, "logit_bias"),
    ],
)
async def test_a_prompt_that_is_not_understood_is_refused_by_field(
    client: httpx2.AsyncClient, changes: dict[str, Any], field: str
) -> None:
    body = {"user_id": "ana", **({} if "messages" in changes else {"input": "Hi"}), **changes}
    response = await client.post("/v1/personalize/prompt", json=body)
    assert field in fields(problem(response, 422, "invalid-field"))


@pytest.mark.parametrize("stream", [False, True])
async def test_without_a_downstream_model_the_problem_names_the_settings(
    client: httpx2.AsyncClient, stream: bool
) -> None:
    body = {"user_id": "ana", "input": "Hi", "stream": stream}
    response = await client.post("/v1/personalize", json=body)
    detail = problem(response, 503, "downstream-not-configured")["detail"]
    assert "BUMP_DOWNSTREAM_URL" in detail
    assert "BUMP_DOWNSTREAM_MODEL" in detail
