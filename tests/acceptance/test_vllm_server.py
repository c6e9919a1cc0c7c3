"""What every test against vLLM takes for granted: the server that they share is a real one."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests.vllm_server import MODEL_NAME

pytestmark = pytest.mark.vllm

QUESTION = {
    "model": MODEL_NAME,
    "messages": [{"role": "user", "content": "What do I like?"}],
    "max_tokens": 16,
    "temperature": 0,
}
SCHEMA = {
    "type": "object",
    "properties": {"evidence": {"type": "array", "items": {"enum": [1, 2, 3]}, "maxItems": 3}},
    "required": ["evidence"],
    "additionalProperties": False,
}


@pytest.fixture
async def client(vllm: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=vllm, timeout=60, trust_env=False) as client:
        yield client


async def complete(client: httpx2.AsyncClient, **options: object) -> dict[str, Any]:
    response = await client.post("/chat/completions", json={**QUESTION, **options})
    response.raise_for_status()
    answer: dict[str, Any] = response.json()
    return answer


async def streamed(client: httpx2.AsyncClient) -> list[str]:
    body = {**QUESTION, "stream": True}
    async with client.stream("POST", "/chat/completions", json=body) as response:
        response.raise_for_status()
        lines = [line async for line in response.aiter_lines() if line]
    return [line.removeprefix("data: ") for line in lines]


async def test_chat_completion_is_as_long_as_asked(client: httpx2.AsyncClient) -> None:
    answer = await complete(client, ignore_eos=True)
    assert answer["usage"]["completion_tokens"] == QUESTION["max_tokens"]
    assert answer["choices"][0]["finish_reason"] == "length"


async def test_stream_carries_the_same_answer(client: httpx2.AsyncClient) -> None:
    *chunks, end = await streamed(client)
    choices = [json.loads(chunk)["choices"][0] for chunk in chunks]
    text = "".join(choice["delta"].get("content", "") for choice in choices)
    answer = await complete(client)
    assert end == "[DONE]"
    assert text == answer["choices"][0]["message"]["content"]


async def test_answer_follows_a_json_schema(client: httpx2.AsyncClient) -> None:
    response_format = {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}}
    answer = await complete(client, response_format=response_format, max_tokens=64)
    evidence = json.loads(answer["choices"][0]["message"]["content"])["evidence"]
    assert set(evidence) <= {1, 2, 3}


async def test_prompt_tokens_have_log_probabilities(client: httpx2.AsyncClient) -> None:
    body = {"model": MODEL_NAME, "prompt": "The user often writes", "echo": True, "logprobs": 0}
    response = await client.post("/completions", json={**body, "max_tokens": 1, "temperature": 0})
    first, *others = response.json()["choices"][0]["logprobs"]["token_logprobs"]
    assert first is None
    assert all(logprob < 0 for logprob in others)
