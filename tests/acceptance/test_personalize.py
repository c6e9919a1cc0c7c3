"""From interactions to a tailored answer, with a real database, cache, worker and vLLM."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import httpx2
import pytest

from service.embedded import EmbeddedServers
from service.worker import Worker
from tests.conftest import ApiKeyMaker
from tests.faults.processes import ApiProcess, Processes, eventually, service_environment
from tests.integration.api.calls import write_profile
from tests.vllm_server import LEAVERS, MODEL_NAME

pytestmark = pytest.mark.vllm

QUESTION = "What should I bake on Sunday?"
ASK = {"user_id": "ana", "input": QUESTION, "max_tokens": 16, "temperature": 0}
# Long enough that it is still running when the client leaves.
LONG = {**ASK, "max_tokens": 6_000}
NO_PROFILE = {"profile_version": None, "profile_revision": None, "profile_stale": None}


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    started = Processes(tmp_path_factory.mktemp("logs"))
    yield started
    started.end()


@pytest.fixture(scope="module")
async def api(processes: Processes, servers: EmbeddedServers, vllm: str) -> ApiProcess:
    """An API process whose downstream model is the real vLLM."""
    return await processes.start_api(
        service_environment(servers, downstream_url=vllm, downstream_model=MODEL_NAME)
    )


@pytest.fixture
async def caller(
    client: httpx2.AsyncClient, api: ApiProcess, worker: Worker, make_key: ApiKeyMaker
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of that API, in a project where `ana` has a profile."""
    await write_profile(client, worker)
    headers = {"Authorization": f"Bearer {await make_key()}"}
    async with httpx2.AsyncClient(
        base_url=api.url, headers=headers, timeout=60, trust_env=False
    ) as caller:
        yield caller


@pytest.fixture
async def model(vllm: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of vLLM itself."""
    async with httpx2.AsyncClient(base_url=vllm, timeout=60, trust_env=False) as model:
        yield model


async def post(client: httpx2.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    response = await client.post(path, json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def server_sent_events(
    client: httpx2.AsyncClient, body: dict[str, Any]
) -> list[tuple[str, dict[str, Any]]]:
    """The (event, data) pairs that `/v1/personalize` streams."""
    found, name = [], ""
    async with client.stream("POST", "/v1/personalize", json={**body, "stream": True}) as response:
        assert response.status_code == 200
        async for line in response.aiter_lines():
            kind, _, value = line.partition(": ")
            if kind == "event":
                name = value
            elif kind == "data":
                found.append((name, json.loads(value)))
    return found


async def metric(model: httpx2.AsyncClient, name: str) -> float:
    """The sum of all samples of a metric of vLLM."""
    lines = (await model.get("../metrics")).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name}{{"))


async def running(model: httpx2.AsyncClient) -> float:
    return await metric(model, "vllm:num_requests_running")


async def finished(model: httpx2.AsyncClient) -> float:
    """How many requests were answered to their end."""
    return await metric(model, "vllm:request_success_total")


async def test_an_answer_tells_which_profile_it_was_tailored_with(
    caller: httpx2.AsyncClient,
) -> None:
    answer = await post(caller, "/v1/personalize", ASK)
    assert answer["output"]
    assert answer["model"] == MODEL_NAME
    assert answer["finish_reason"] in ("length", "stop")
    assert 0 < answer["usage"]["completion_tokens"] <= ASK["max_tokens"]
    assert (answer["profile_version"], answer["profile_revision"]) == (1, 1)
    assert answer["profile_stale"] is False


async def test_the_model_reads_exactly_the_prompt_that_the_prompt_route_shows(
    caller: httpx2.AsyncClient, model: httpx2.AsyncClient
) -> None:
    shown = await post(caller, "/v1/personalize/prompt", {"user_id": "ana", "input": QUESTION})
    assert "<user_profile>" in shown["messages"][1]["content"]
    body = {"model": MODEL_NAME, "messages": shown["messages"], "max_tokens": 16, "temperature": 0}
    direct = await post(model, "/chat/completions", body)
    answer = await post(caller, "/v1/personalize", ASK)
    assert answer["output"] == direct["choices"][0]["message"]["content"]
    assert answer["usage"]["prompt_tokens"] == direct["usage"]["prompt_tokens"]
    assert answer["usage"]["prompt_tokens"] > 100


async def test_an_unknown_user_gets_the_plain_prompt(caller: httpx2.AsyncClient) -> None:
    tailored = await post(caller, "/v1/personalize", ASK)
    plain = await post(caller, "/v1/personalize", {**ASK, "user_id": "nobody"})
    assert {name: plain[name] for name in NO_PROFILE} == NO_PROFILE
    assert plain["usage"]["prompt_tokens"] < tailored["usage"]["prompt_tokens"]


async def test_a_stream_is_the_same_answer_piece_by_piece(caller: httpx2.AsyncClient) -> None:
    whole = await post(caller, "/v1/personalize", ASK)
    first, *deltas, last = await server_sent_events(caller, ASK)
    assert first == (
        "profile",
        {"profile_version": 1, "profile_revision": 1, "profile_stale": False},
    )
    assert {name for name, _ in deltas} == {"delta"}
    assert "".join(data["text"] for _, data in deltas) == whole["output"]
    assert last == ("done", {"finish_reason": whole["finish_reason"], "usage": whole["usage"]})


async def test_a_stream_for_an_unknown_user_says_so_first(caller: httpx2.AsyncClient) -> None:
    first, *_ = await server_sent_events(caller, {**ASK, "user_id": "nobody"})
    assert first == ("profile", NO_PROFILE)


async def test_the_same_seed_gives_the_same_answer(caller: httpx2.AsyncClient) -> None:
    body = {**ASK, "temperature": 1, "seed": 7}
    first, second = [await post(caller, "/v1/personalize", body) for _ in range(2)]
    assert first["output"] == second["output"]


async def test_a_client_that_leaves_a_stream_frees_the_model(
    caller: httpx2.AsyncClient, model: httpx2.AsyncClient
) -> None:
    async def leave() -> None:
        async with caller.stream("POST", "/v1/personalize", json={**LONG, "stream": True}) as said:
            lines = said.aiter_lines()
            while await anext(lines) != "event: delta":
                continue

    await assert_frees(model, leave)


async def test_a_client_that_leaves_before_the_answer_frees_the_model(
    caller: httpx2.AsyncClient, model: httpx2.AsyncClient
) -> None:
    async def leave() -> None:
        waiting = asyncio.create_task(caller.post("/v1/personalize", json=LONG))
        await eventually(lambda: _is(running(model), 1), 60)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    await assert_frees(model, leave)


async def assert_frees(model: httpx2.AsyncClient, leave: Callable[[], Awaitable[None]]) -> None:
    """Whoever leaves ends the answer before its end, in one of a few tries."""
    for _ in range(LEAVERS):
        answered = await finished(model)
        await leave()
        await eventually(lambda: _is(running(model), 0), 60)
        if await finished(model) == answered:
            return
    pytest.fail(f"{LEAVERS} answers went on to their end after their clients had left")


async def _is(measured: Any, expected: float) -> bool:
    return bool(await measured == expected)
