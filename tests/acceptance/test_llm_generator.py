"""The LLM generator on a real vLLM: guided decoding gives a document that can be used."""

from datetime import UTC, datetime, timedelta

import pytest

from service.domain.interaction import Interaction
from service.domain.prompts import Message
from service.generators.extractive import ExtractiveGenerator
from service.generators.llm import ANSWER_SCHEMA, LlmGenerator
from service.generators.population import Population
from service.llm.client import ChatClient, Sampling
from tests.vllm_server import MODEL_NAME

pytestmark = pytest.mark.vllm


async def test_every_statement_it_keeps_names_events_of_the_history(vllm: str) -> None:
    history = [
        Interaction(
            event_id=f"e{number}",
            occurred_at=datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=number),
            text=f"asked how to prune apple tree number {number}",
        )
        for number in range(12)
    ]
    client = ChatClient(base_url=vllm, model=MODEL_NAME, api_key=None, deadline=120)
    generator = LlmGenerator(
        client, fallback=ExtractiveGenerator(), max_tokens=160, history_tokens=2_000
    )
    try:
        draft = await generator.write(history, Population.empty())
    finally:
        await client.close()
    # Random weights write nonsense, and may name no real event at all; then the other one writes.
    assert draft.generator in {f"llm:{MODEL_NAME}", "extractive"}
    assert draft.statements
    keys = {interaction.key for interaction in history}
    assert all(set(statement.evidence) <= keys for statement in draft.statements)
    assert all(statement.evidence for statement in draft.statements)


async def test_guided_decoding_takes_the_schema_of_the_answer(vllm: str) -> None:
    client = ChatClient(base_url=vllm, model=MODEL_NAME, api_key=None, deadline=120)
    sampling = Sampling(max_tokens=64, json_schema=ANSWER_SCHEMA)
    try:
        completion = await client.complete([Message("user", "Write a profile.")], sampling)
    finally:
        await client.close()
    assert completion.text.startswith('{"statements": [{"kind": "')
