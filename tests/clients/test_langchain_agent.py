"""`examples/langchain_agent.py`: an agent of LangChain's that knows its user."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from bump_client import Bump
from service.worker import Worker
from tests.conftest import ApiKeyMaker
from tests.faults.processes import ApiProcess
from tests.integration.api.calls import get, post, write_profile

pytest.importorskip("langchain", reason="LangChain is not installed")

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from examples.langchain_agent import KnowsItsUser, User

QUESTION = "What should I bake?"


class Echo(BaseChatModel):
    """A model that says what it was asked last."""

    @property
    def _llm_type(self) -> str:
        return "echo"

    def _generate(self, messages: Any, *_: Any, **__: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(messages[-1].content))])


@contextmanager
def agent_of(url: str, key: str) -> Iterator[Any]:
    with Bump(url, key, deadline=5) as bump, bump.buffer(on_failure=lambda _: None) as buffer:
        middleware = [KnowsItsUser(bump, buffer)]
        yield create_agent(Echo(), middleware=middleware, context_schema=User)


@pytest.fixture
async def agent(clients_api: ApiProcess, make_key: ApiKeyMaker) -> Any:
    """`with agent as echo:` an agent before the real API; what was said is stored at the end."""
    return agent_of(clients_api.url, await make_key())


async def ask(echo: Any, message: HumanMessage) -> Any:
    return await echo.ainvoke({"messages": [message]}, context=User("ana"))


async def test_the_model_sees_the_profile_and_the_state_does_not(
    agent: Any, client: httpx2.AsyncClient, worker: Worker
) -> None:
    profile = await write_profile(client, worker)
    with agent as echo:
        answer = await ask(echo, HumanMessage(QUESTION))
    asked, echoed = answer["messages"]
    assert profile["statements"][0]["text"] in echoed.text
    assert QUESTION in echoed.text
    assert asked.text == QUESTION


async def test_an_agent_without_a_loop_does_the_same(
    clients_api: ApiProcess, make_key: ApiKeyMaker, client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    with agent_of(clients_api.url, await make_key()) as echo:
        answer = echo.invoke({"messages": [HumanMessage(QUESTION)]}, context=User("ana"))
    assert "<user_profile>" in answer["messages"][-1].text


async def test_what_the_user_says_becomes_an_interaction_once(
    agent: Any, client: httpx2.AsyncClient
) -> None:
    message = HumanMessage(QUESTION, id="m1")
    with agent as echo:
        await ask(echo, message)
        await ask(echo, message)
    (stored,) = (await get(client, "/v1/users/ana/interactions"))["interactions"]
    assert (stored["text"], stored["type"], stored["event_id"]) == (QUESTION, "message", "m1")


async def test_a_user_without_a_profile_gets_a_plain_answer(
    agent: Any, client: httpx2.AsyncClient
) -> None:
    await post(client, {"user_id": "ana", "text": "Hello."})
    with agent as echo:
        answer = await ask(echo, HumanMessage(QUESTION))
    assert answer["messages"][-1].text == QUESTION


async def test_without_bump_it_answers_without_a_profile() -> None:
    with agent_of("http://127.0.0.1:1", "bump_x") as echo:
        answer = await ask(echo, HumanMessage(QUESTION))
    assert answer["messages"][-1].text == QUESTION
