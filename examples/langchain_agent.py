"""A LangChain agent that knows its user: the profile goes into the prompt, what is said into Bump.

    pip install ./clients/python 'langchain>=1.4' langchain-openai
    bump up                                                       # in another terminal
    OPENAI_API_KEY=… python examples/langchain_agent.py openai:gpt-5-mini ada

`KnowsItsUser` is all there is to it, for any agent that `create_agent` makes (a LangGraph graph).
"""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
from langchain_core.messages import HumanMessage
from langgraph.runtime import Runtime

from bump_client import Buffer, Bump, BumpError, Interaction

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class User:
    """The context of a run: `agent.invoke(…, context=User("ada"))`."""

    user_id: str


class KnowsItsUser(AgentMiddleware[AgentState[Any], User]):
    """Every model call sees the user's profile; what the user says becomes an interaction.

    Where Bump does not answer, the agent answers without a profile.
    """

    def __init__(self, bump: Bump, buffer: Buffer) -> None:
        super().__init__()
        self._bump = bump
        self._buffer = buffer

    def before_agent(self, state: AgentState[Any], runtime: Runtime[User]) -> None:
        said = state["messages"][-1]
        if isinstance(said, HumanMessage) and said.text:
            # A message keeps its id when a run is resumed or tried again: it is stored once.
            self._buffer.add(
                Interaction(
                    user_id=runtime.context.user_id,
                    text=said.text,
                    type="message",
                    event_id=str(said.id),
                )
            )

    async def abefore_agent(self, state: AgentState[Any], runtime: Runtime[User]) -> None:
        # A buffer that is full makes who adds wait.
        await asyncio.to_thread(self.before_agent, state, runtime)

    def wrap_model_call(
        self,
        request: ModelRequest[User],
        handler: Callable[[ModelRequest[User]], ModelResponse[Any]],
    ) -> ModelResponse[Any]:
        return handler(self._personalized(request))

    async def awrap_model_call(
        self,
        request: ModelRequest[User],
        handler: Callable[[ModelRequest[User]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        return await handler(await asyncio.to_thread(self._personalized, request))

    def _personalized(self, request: ModelRequest[User]) -> ModelRequest[User]:
        """The request with the profile in the user's last message, as data, where Bump puts it.

        Only this call sees it: the state, and so the next profile, holds what the user said.
        """
        questions = [n for n, said in enumerate(request.messages) if isinstance(said, HumanMessage)]
        if not questions or not isinstance(request.messages[questions[-1]].content, str):
            return request
        asked = request.messages[questions[-1]]
        try:
            user_id = request.runtime.context.user_id
            prompt = self._bump.personalize_prompt(user_id, asked.text, template="user")
        except BumpError as error:
            log.warning("without a profile: %s", type(error).__name__)
            return request
        messages = list(request.messages)
        messages[questions[-1]] = asked.model_copy(
            update={"content": prompt.messages[-1]["content"]}
        )
        return request.override(messages=messages)


def main() -> None:
    model, user_id = sys.argv[1:]
    with Bump() as bump, bump.buffer() as buffer:
        agent = create_agent(model, middleware=[KnowsItsUser(bump, buffer)], context_schema=User)
        while asked := input("> "):
            said: Any = {"messages": [HumanMessage(asked)]}
            print(agent.invoke(said, context=User(user_id))["messages"][-1].text)


if __name__ == "__main__":
    main()
