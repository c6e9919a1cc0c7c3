"""Put the user's profile into a prompt, and have the downstream model answer it.

No transaction is open while the model is awaited. An unknown user gets the plain prompt.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import orjson

from service.domain.placement import BUILT_IN, DEFAULT, Prompt, Template, assemble, without_profile
from service.domain.prompts import Message, SafeStatement, TokenCounter, count_tokens
from service.domain.relevance import relevant
from service.domain.tokens import estimate_tokens
from service.errors import DownstreamError, DownstreamNotConfigured, TooLarge
from service.flows.limit_usage import Reservation
from service.flows.read_profile import ProfileReader, ServedProfile, VersionReader
from service.flows.shown_answers import shown, shown_stream
from service.llm.chat_stream import Chunk
from service.llm.downstream import Answer, ChatCall, Downstreams


@dataclass(frozen=True, slots=True)
class PromptLimits:
    """Tokens that the profile with its template may take, and the model's whole context.

    Texts are counted by `count`. `must_fit`: refuse messages that alone take more than the
    context; otherwise the model decides, and the profile takes what is left.
    """

    profile: int
    context: int
    must_fit: bool = True
    count: TokenCounter = estimate_tokens


@dataclass(frozen=True, slots=True)
class PersonalizedPrompt:
    """The messages as the downstream model gets them. Without a profile, `profile` is None."""

    prompt: Prompt
    profile: ServedProfile | None


async def personalized_prompt(
    reader: ProfileReader | VersionReader,
    project_id: str,
    user_id: str | None,
    messages: Sequence[Message],
    *,
    max_tokens: int,
    limits: PromptLimits,
    template: Template = BUILT_IN[DEFAULT],
    relevant_only: bool = False,
) -> PersonalizedPrompt:
    """`messages` with the user's profile, within the model's context less `max_tokens`.

    A profile that they hold from an earlier turn is replaced. With `relevant_only` no more of it
    goes in than what matters to the last question. Raises TooLarge when the messages alone do not
    fit.
    """
    plain = without_profile(messages, template)
    messages_tokens = count_tokens(plain, limits.count)
    room = limits.context - max_tokens - messages_tokens
    if room < 0 and limits.must_fit:
        raise TooLarge(
            f"The messages take about {messages_tokens} tokens; with max_tokens "
            f"{max_tokens} that is over the downstream model's context of {limits.context}."
        )
    profile = await reader.read(project_id, user_id) if user_id is not None else None
    statements = _statements(profile, limits.count) if profile else []
    if relevant_only:
        statements = relevant(statements, plain)
    prompt = assemble(
        plain,
        statements,
        messages_tokens=messages_tokens,
        profile_budget=min(limits.profile, room),
        template=template,
        count=limits.count,
    )
    return PersonalizedPrompt(prompt, profile if prompt.statements else None)


async def complete(
    downstreams: Downstreams,
    model: str | None,
    prompt: PersonalizedPrompt,
    parameters: Mapping[str, Any],
    reservation: Reservation,
) -> Answer:
    """The model's whole answer, settled. Raises DownstreamError.

    Personalised, it shows no image: an address could carry off what the profile says.
    """
    spent = reservation.prompt_tokens
    call = ChatCall(reservation.project_id, prompt.prompt.messages, parameters)
    try:
        answer = await downstreams.complete(model, call)
        spent = answer.usage.total if answer.usage else reservation.most_tokens
        return shown(answer) if prompt.profile else answer
    except DownstreamError as error:
        spent = reservation.prompt_tokens if error.begun else 0
        raise
    finally:
        reservation.settle(spent)


async def stream(
    downstreams: Downstreams,
    model: str | None,
    prompt: PersonalizedPrompt,
    parameters: Mapping[str, Any],
    reservation: Reservation,
) -> AsyncGenerator[list[Chunk], None]:
    """Like `complete`, as it comes; settled by what has come where it breaks off."""
    spent = 0
    call = ChatCall(reservation.project_id, prompt.prompt.messages, parameters)
    batches = downstreams.stream(model, call)
    try:
        async with aclosing(shown_stream(batches) if prompt.profile else batches) as chunks:
            async for batch in chunks:
                spent = spent or reservation.prompt_tokens
                for chunk in batch:
                    spent = chunk.usage.total if chunk.usage else spent + 1
                yield batch
    finally:
        reservation.settle(spent)


def configured(downstreams: Downstreams | None) -> Downstreams:
    """The downstream models, or DownstreamNotConfigured with what to set."""
    if downstreams is None:
        raise DownstreamNotConfigured(
            "No downstream model is configured: set BUMP_DOWNSTREAM_URL (an OpenAI-compatible "
            "base URL) and BUMP_DOWNSTREAM_MODEL, and restart. POST /v1/personalize/prompt "
            "returns the assembled messages without a model."
        )
    return downstreams


def _statements(profile: ServedProfile, count: TokenCounter) -> list[SafeStatement]:
    statements = [SafeStatement(*found) for found in orjson.loads(profile.prompt_statements)]
    if count is estimate_tokens:  # by which they were counted when the cache entry was made
        return statements
    return [found._replace(tokens=count(found.text) + count("\n")) for found in statements]
