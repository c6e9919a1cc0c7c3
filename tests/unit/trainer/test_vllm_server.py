"""A rollout server that fails is asked again; one that refuses says what it needs."""

from collections.abc import Callable
from pathlib import Path

import httpx2
import orjson
import pytest

from service.errors import ConfigurationError
from service.generators.llm import ANSWER_SCHEMA
from service.trainer.vllm_server import RolloutsFailed, Sampled, VllmServer

PROMPT = [{"role": "user", "content": "hello"}]
ANSWER = {"prompt_token_ids": [1, 2], "choices": [{"token_ids": [3, 4, 5]}]}


def server(answer: Callable[[httpx2.Request], httpx2.Response]) -> VllmServer:
    return VllmServer(
        "http://vllm.test/v1", timeout=5, pause=0, transport=httpx2.MockTransport(answer)
    )


async def sample(one: VllmServer, prompts: int = 1) -> list[Sampled]:
    return await one.sample("policy-1", [PROMPT] * prompts, max_tokens=8, temperature=1.0)


async def test_answers_come_as_the_tokens_of_the_adapter() -> None:
    requests: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        return httpx2.Response(200, json=ANSWER)

    assert await sample(server(answer), prompts=3) == [Sampled([1, 2], [3, 4, 5])] * 3
    body = orjson.loads(requests[0].content)
    assert (body["model"], body["messages"]) == ("policy-1", PROMPT)
    assert body["response_format"]["json_schema"]["schema"] == ANSWER_SCHEMA


async def test_a_failure_that_passes_costs_nothing() -> None:
    answers = iter([httpx2.Response(503), httpx2.Response(200, json=ANSWER)])
    assert await sample(server(lambda request: next(answers))) == [Sampled([1, 2], [3, 4, 5])]


async def test_a_server_that_stays_away_is_named_after_bounded_attempts() -> None:
    attempts = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        attempts.append(request)
        raise httpx2.ConnectError("refused")

    with pytest.raises(RolloutsFailed, match=r"/chat/completions 3 times \(ConnectError\)"):
        await sample(server(answer))
    assert len(attempts) == 3


async def test_a_refusal_says_what_the_server_needs() -> None:
    one = server(lambda request: httpx2.Response(404, text="no such route"))
    with pytest.raises(ConfigurationError, match=r"VLLM_ALLOW_RUNTIME_LORA_UPDATING"):
        await one.load_adapter("policy-1", Path("adapters/policy-1"))
