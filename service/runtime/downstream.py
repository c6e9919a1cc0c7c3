"""Opens the downstream models, each with its way to count tokens."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tokenizers import Tokenizer

from service.config import DownstreamSettings, Settings, revealed
from service.domain.prompts import TokenCounter
from service.domain.tokens import estimate_tokens
from service.errors import ConfigurationError
from service.llm.client import ChatClient
from service.llm.downstream import DownstreamModel, Downstreams, ModelOptions
from service.llm.endpoint import Endpoint
from service.llm.local import LOCAL_URL, local_name, open_local

_REMEMBERED_CHARS = 1_000


def open_downstream(settings: Settings) -> Downstreams | None:
    """Raises ConfigurationError for a model without a name, and a fallback that is none."""
    described = described_downstreams(settings)
    for name, one in described.items():
        if one.fallback is not None and one.fallback not in described:
            raise ConfigurationError(
                f"The downstream model {name} names {one.fallback} as its fallback, which is none "
                f"of {', '.join(described)}: change it in BUMP_DOWNSTREAMS or "
                "BUMP_DOWNSTREAM_FALLBACK."
            )
    if not described:
        return None
    return Downstreams({name: _open_model(one, settings) for name, one in described.items()})


@dataclass(frozen=True, slots=True)
class ChatModel:
    """The downstream model as an evaluation asks it: without streams, fallbacks or salts.

    `vocabulary` where its tokenizer.json is at hand; `count` counts in any case.
    """

    client: ChatClient
    context: int
    count: TokenCounter
    vocabulary: Tokenizer | None = None


def open_chat(settings: Settings) -> ChatModel:
    """The model of BUMP_DOWNSTREAM_URL. Raises ConfigurationError where none is named."""
    if settings.downstream_url is None:
        raise ConfigurationError(
            "Name the model to ask: --url (an OpenAI-compatible base URL) and --model, or "
            "BUMP_DOWNSTREAM_URL and BUMP_DOWNSTREAM_MODEL."
        )
    described = next(iter(described_downstreams(settings).values()))
    name = local_name(described.url)
    local = None if name is None else open_local(name)
    client = ChatClient(
        base_url=LOCAL_URL if local else described.url,
        model=described.model,
        api_key=revealed(described.api_key),
        deadline=settings.downstream_timeout,
        transport=local.transport if local else None,
    )
    if local:
        return ChatModel(client, min(local.context, described.context), _remembering(local.count))
    if described.tokenizer is None:
        return ChatModel(client, described.context, estimate_tokens)
    vocabulary = _vocabulary(described.tokenizer)
    return ChatModel(client, described.context, _counting(vocabulary), vocabulary)


def described_downstreams(settings: Settings) -> Mapping[str, DownstreamSettings]:
    if settings.downstream_url is None:
        return settings.downstreams
    model = settings.downstream_model or local_name(settings.downstream_url)
    if model is None:
        raise ConfigurationError(
            "BUMP_DOWNSTREAM_URL is set but BUMP_DOWNSTREAM_MODEL is not: name the model to call."
        )
    first = DownstreamSettings(
        url=settings.downstream_url,
        model=model,
        api_key=settings.downstream_api_key,
        context=settings.downstream_context,
        tokenizer=settings.downstream_tokenizer,
        fallback=settings.downstream_fallback,
        cache_salt_key=settings.downstream_cache_salt_key,
    )
    return {model: first} | settings.downstreams


def _open_model(described: DownstreamSettings, settings: Settings) -> DownstreamModel:
    name = local_name(described.url)
    local = None if name is None else open_local(name)
    salt_key = revealed(described.cache_salt_key)
    return DownstreamModel(
        Endpoint(
            base_url=LOCAL_URL if local else described.url,
            api_key=revealed(described.api_key),
            deadline=settings.downstream_timeout,
            transport=local.transport if local else None,
        ),
        ModelOptions(
            model=described.model,
            context=local.context if local else described.context,
            count=_remembering(local.count) if local else _token_counter(described.tokenizer),
            fallback=described.fallback,
            first_chunk_seconds=settings.downstream_first_chunk,
            cache_salt_key=salt_key.encode() if salt_key else None,
        ),
    )


def _token_counter(tokenizer: Path | None) -> TokenCounter:
    """How texts are counted: by the model's own tokenizer, else by the estimate.

    Raises ConfigurationError where the file is missing or is none.
    """
    if tokenizer is None:
        return estimate_tokens
    return _counting(_vocabulary(tokenizer))


def _vocabulary(file: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing narrower
        raise ConfigurationError(
            f"{file} cannot be read as a tokenizer.json ({type(error).__name__})."
        ) from error


def _counting(vocabulary: Tokenizer) -> TokenCounter:
    def count(text: str) -> int:
        return len(vocabulary.encode(text, add_special_tokens=False))

    return _remembering(count)


def _remembering(count: TokenCounter) -> TokenCounter:
    # Guards, delimiters and statements are short and come again with every prompt of a user.
    remembered = lru_cache(maxsize=10_000)(count)
    return lambda text: remembered(text) if len(text) <= _REMEMBERED_CHARS else count(text)
