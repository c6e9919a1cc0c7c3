"""The folder that the package ships is one that vLLM serves, with the same answers."""

from collections.abc import Iterator

import httpx2
import pytest

from examples.bump_mini.swap_test import cases
from service.llm.client import ChatClient, Sampling
from service.llm.local import BUMP_MINI, LOCAL_URL, open_local
from service.llm.local.mini import FILES
from tests.vllm_server import MODEL_NAME, vllm_server

pytestmark = pytest.mark.vllm

GREEDY = Sampling(max_tokens=100, temperature=0)


@pytest.fixture(scope="module")
def url(vllm_installed: None) -> Iterator[str]:
    with vllm_server(FILES) as server:
        yield server.url


async def test_vllm_and_the_own_decoder_give_the_same_answers(url: str) -> None:
    own = ChatClient(
        base_url=LOCAL_URL,
        model=BUMP_MINI,
        api_key=None,
        deadline=60,
        transport=open_local(BUMP_MINI).transport,
    )
    async with httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False) as vllm:
        for case in cases(12):
            messages = case.example.messages
            body = {
                "model": MODEL_NAME,
                "messages": [message.to_json() for message in messages],
                "max_tokens": 100,
                "temperature": 0,
            }
            response = (await vllm.post("/chat/completions", json=body)).json()
            found = (await own.complete(messages, GREEDY)).text
            assert found == response["choices"][0]["message"]["content"]
    await own.close()
