"""Opens those who write the profiles that `bump lamp` shows to a model."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

from service.bump.batch import Negatives
from service.commands.lamp_reading import Data
from service.config import Settings
from service.domain.profile import Draft, Statement
from service.errors import ConfigurationError
from service.evaluation.baselines import BASELINES
from service.evaluation.entrants import baseline_entrants
from service.evaluation.lamp.methods import SUMMARY, TRAINED, UNTRAINED
from service.evaluation.lamp.profiles import (
    Source,
    Vet,
    as_example,
    entrant_source,
    generator_source,
)
from service.evaluation.lamp.summaries import summary_source
from service.evaluation.preparation import Batch
from service.flows.vetting import harmless, permitted
from service.generators.extractive import ExtractiveGenerator
from service.generators.extractive.artifact import SHIPPED, read_policy
from service.runtime import open_chat, open_llm_generator, open_redactor


def open_source(
    name: str, data: Data, settings: Settings, *, seed: int, stack: AsyncExitStack
) -> Source:
    """Closed with the `stack`. Raises ConfigurationError for what it needs and is not there.

    `stranger` is no source of its own: somebody else's profile by the untrained one.
    """
    if name in BASELINES:
        (entrant,) = baseline_entrants([name], _as_batch(data), seed=seed)
        return entrant_source(entrant)
    if name == SUMMARY:
        chat = open_chat(writing(settings))
        stack.push_async_callback(chat.client.close)
        return summary_source(
            chat.client,
            data.task,
            history_tokens=min(settings.generator_history_tokens, chat.context // 2),
        )
    vet, limit = _vet(settings), settings.history_limit
    if name in (UNTRAINED, TRAINED):
        generator, identity = _extractive(name, settings)
        return generator_source(
            name,
            generator,
            data.population,
            vet,
            identity=f"{identity}, population {data.digest}",
            history_limit=limit,
        )
    llm = open_llm_generator(generating(name, settings))
    stack.push_async_callback(llm.close)
    identity = (
        f"{llm.name}, {settings.generator_history_tokens} {settings.generator_history_selection}, "
        f"{settings.profile_tokens} tokens"
    )
    return generator_source(name, llm, data.population, vet, identity=identity, history_limit=limit)


def generating(name: str, settings: Settings) -> Settings:
    """Settings of the LLM that writes profiles: BUMP_GENERATOR_…, else the model that is asked.

    `llm:NAME` is another model of the same server. Raises ConfigurationError for a model in this
    process, which does not keep to a JSON schema.
    """
    url = settings.generator_url or settings.downstream_url
    model = name.partition(":")[2] or settings.generator_model or settings.downstream_model
    if url is None or model is None or not url.startswith(("http://", "https://")):
        raise ConfigurationError(
            f"{name} needs a server that answers by a JSON schema, as vLLM does: set "
            "BUMP_GENERATOR_URL and BUMP_GENERATOR_MODEL, or leave the method out."
        )
    key = settings.generator_api_key or settings.downstream_api_key
    changes = {"generator_url": url, "generator_model": model, "generator_api_key": key}
    return settings.model_copy(update=changes)


def writing(settings: Settings) -> Settings:
    """Settings by which `open_chat` opens the model that writes summaries: that of BUMP_GENERATOR_…
    where it is set."""
    if settings.generator_url is None:
        return settings
    return settings.model_copy(
        update={
            "downstream_url": settings.generator_url,
            "downstream_model": settings.generator_model,
            "downstream_api_key": settings.generator_api_key,
            "downstream_tokenizer": None,
            "downstream_timeout": settings.generator_timeout,
        }
    )


def _extractive(name: str, settings: Settings) -> tuple[ExtractiveGenerator, str]:
    tokens = settings.profile_tokens
    if name == UNTRAINED:
        return ExtractiveGenerator(tokens), f"untrained, {tokens} tokens"
    policy = read_policy(settings.generator_artifact or SHIPPED)
    generator = ExtractiveGenerator(tokens, weights=policy.weights, name=name)
    return generator, f"{policy.sha256}, {tokens} tokens"


def _vet(settings: Settings) -> Vet:
    redactor = open_redactor(settings)

    def vet(draft: Draft) -> Sequence[Statement]:
        return permitted(harmless(draft.statements, redactor), ())

    return vet


def _as_batch(data: Data) -> Batch:
    """As the baselines take it; they look at nobody's negatives."""
    examples = tuple(map(as_example, data.samples))
    none = Negatives((), ())
    return Batch(examples, {e.user_id: none for e in examples}, data.population, {})
