"""What background work relies on in a real vLLM: priority, aborts, adapters that come and go."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from service.domain.prompts import Message
from service.llm.adapters import AdapterServer
from service.llm.client import ChatClient, Sampling
from service.llm.pacing import BACKGROUND_PRIORITY, Pace, PacedChat
from tests.faults.processes import eventually
from tests.vllm_adapter import make_adapter
from tests.vllm_server import LEAVERS, MODEL_NAME

pytestmark = pytest.mark.vllm

QUESTION = [Message("user", "What do I like?")]
SHORT = Sampling(max_tokens=48, temperature=0)
# Takes the tiny model many times as long as it takes to notice that nobody listens.
LONG = Sampling(max_tokens=7_000, temperature=0, priority=BACKGROUND_PRIORITY)
# Whatever the weights: one that says nothing cannot be told from another.
LETTERS = Sampling(max_tokens=48, temperature=0, regex="[a-z ]{30}")
WORDS = 12


class Requests(httpx2.AsyncHTTPTransport):
    """Keeps the bodies that go out to the real server."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[bytes] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.bodies.append(request.content)
        return await super().handle_async_request(request)


@asynccontextmanager
async def chat_client(
    vllm: str, model: str = MODEL_NAME, **options: Any
) -> AsyncIterator[ChatClient]:
    client = ChatClient(
        base_url=vllm, model=model, api_key=None, deadline=120, attempts=1, **options
    )
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture
async def metrics(vllm: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=vllm.removesuffix("/v1"), trust_env=False) as client:
        yield client


async def counted(metrics: httpx2.AsyncClient, name: str) -> float:
    """The sum of a metric's samples."""
    lines = (await metrics.get("/metrics")).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name}{{"))


async def test_background_calls_are_taken_at_their_priority(vllm: str) -> None:
    requests = Requests()
    async with chat_client(vllm, transport=requests) as client:
        chat = PacedChat(client, Pace(1), slow_after=60, stalled_after=60)
        completion = await chat.complete(QUESTION, SHORT)
    assert completion.usage
    assert completion.usage.completion_tokens == SHORT.max_tokens
    assert [b'"priority":10' in body for body in requests.bodies] == [True]


async def test_a_client_that_leaves_stops_the_generation(
    vllm: str, metrics: httpx2.AsyncClient
) -> None:
    async def stopped() -> bool:
        return await counted(metrics, "vllm:num_requests_running") == 0

    made = []
    for _ in range(LEAVERS):
        before = await counted(metrics, "vllm:generation_tokens_total")
        async with chat_client(vllm) as client, aclosing(client.stream(QUESTION, LONG)) as deltas:
            await anext(deltas)
        await eventually(stopped, 60)
        made.append(await counted(metrics, "vllm:generation_tokens_total") - before)
        if 0 < made[-1] < LONG.max_tokens / 2:
            return
    pytest.fail(f"after their clients had left, answers went on to {made} tokens")


async def test_adapters_are_swapped_under_traffic_without_a_failed_call(
    vllm: str, tmp_path: Path
) -> None:
    server = AdapterServer(vllm)
    await server.ensure_loaded("blue", make_adapter(tmp_path / "blue", seed=1))
    serving = {"model": "blue"}
    answers: list[tuple[str, str]] = []

    async def ask_on(end: asyncio.Event) -> None:
        while not end.is_set():
            client = clients[serving["model"]]
            completion = await client.complete(QUESTION, LETTERS)
            answers.append((client.model, completion.text))

    end = asyncio.Event()
    async with (
        chat_client(vllm, "blue") as blue,
        chat_client(vllm, "green") as green,
        asyncio.TaskGroup() as group,
    ):
        clients = {"blue": blue, "green": green}
        for _ in range(4):
            group.create_task(ask_on(end))
        await eventually(lambda: len(answers) >= WORDS, 60)
        await server.ensure_loaded("green", make_adapter(tmp_path / "green", seed=2))
        serving["model"] = "green"
        swapped = len(answers)
        await eventually(lambda: len(answers) >= swapped + WORDS, 60)
        await server.unload("blue")
        await eventually(lambda: len(answers) >= swapped + 2 * WORDS, 60)
        end.set()
    await server.unload("green")
    await server.close()
    # Greedy, yet a batch of another size may round differently: so by what each says most often.
    said = {color: Counter(text for name, text in answers if name == color) for color in clients}
    (blue_says, _), (green_says, _) = (said[color].most_common(1)[0] for color in clients)
    assert blue_says != green_says
