"""Builds one process's resources from Settings. Besides the commands, nothing else reads them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.cache import ProfileCache, open_cache
from service.cache.arrivals import ArrivalCounts, open_arrival_counts
from service.cache.usage import open_usage_counters
from service.config import Settings
from service.db.interactions import RegenerationPolicy
from service.db.regenerations import PRIORITY_INGEST
from service.db.server import verify_server
from service.db.session import Database, open_database
from service.domain.pii import PatternRedactor, Redactor
from service.errors import ConfigurationError
from service.flows.limit_usage import UsageLimiter
from service.flows.project_settings import SettingsReader
from service.flows.read_profile import ProfileReader
from service.llm.downstream import Downstreams
from service.runtime.downstream import ChatModel, open_chat, open_downstream
from service.runtime.generators import (
    GeneratorLoader,
    generator_name,
    open_artifact_store,
    open_generator,
    open_llm_generator,
)
from service.runtime.judges import JUDGES, open_judge, open_scoring

if TYPE_CHECKING:
    from service.flows.evaluate_candidate import Gate
    from service.generators.generator import Generator

__all__ = [
    "JUDGES",
    "SCHEMA_REVISION",
    "ChatModel",
    "GeneratorLoader",
    "Runtime",
    "generator_name",
    "open_artifact_store",
    "open_chat",
    "open_gate",
    "open_generator",
    "open_judge",
    "open_llm_generator",
    "open_redactor",
    "open_runtime",
    "open_scoring",
    "regeneration_policy",
]

SCHEMA_REVISION = "0008"


@dataclass(frozen=True, slots=True)
class Runtime:
    """What the API or a worker holds for its lifetime; only the API has `downstream`."""

    settings: Settings
    database: Database
    cache: ProfileCache
    reader: ProfileReader
    projects: SettingsReader
    usage: UsageLimiter
    arrivals: ArrivalCounts
    downstream: Downstreams | None
    loader: "GeneratorLoader"

    async def close(self) -> None:
        await self.loader.close()
        await self.usage.close()
        await self.arrivals.close()
        if self.downstream:
            await self.downstream.close()
        await self.cache.close()
        await self.database.close()


async def open_runtime(settings: Settings, *, answering: bool = False) -> Runtime:
    """Connect and check; the downstream models are opened only where `answering`.

    Raises ConfigurationError when a promise could not be kept.
    """
    if settings.database_url is None or settings.redis_url is None:
        raise ConfigurationError(
            "Set BUMP_DATABASE_URL and BUMP_REDIS_URL, or start everything with `bump up`."
        )
    database = open_database(
        settings.database_url.get_secret_value(), pool_size=settings.database_pool_size
    )
    cache = open_cache(
        settings.redis_url.get_secret_value(),
        timeout=settings.redis_timeout,
        retry_after=settings.redis_retry_after,
        profile_ttl=settings.profile_ttl,
        revision_ttl=settings.revision_ttl,
    )
    try:
        await verify_server(database, SCHEMA_REVISION)
        downstream = open_downstream(settings) if answering else None
    except BaseException:
        await cache.close()
        await database.close()
        raise
    return Runtime(
        settings=settings,
        database=database,
        cache=cache,
        reader=ProfileReader(database, cache),
        projects=SettingsReader(database, settings.key_cache_ttl),
        usage=UsageLimiter(
            open_usage_counters(
                settings.redis_url.get_secret_value(),
                timeout=settings.redis_timeout,
                retry_after=settings.redis_retry_after,
            )
        ),
        arrivals=open_arrival_counts(
            settings.redis_url.get_secret_value(),
            timeout=settings.redis_timeout,
            retry_after=settings.redis_retry_after,
        ),
        downstream=downstream,
        loader=GeneratorLoader(settings),
    )


def open_gate(runtime: Runtime, default: "Generator") -> "Gate":
    """The gate of the runtime's projects; `default` is the generator that the settings name."""
    from service.flows.evaluate_candidate import Gate

    settings = runtime.settings
    return Gate(
        database=runtime.database,
        default=default,
        loader=runtime.loader,
        open_judge=lambda name, population: open_judge(name, settings, population),
        history_limit=settings.history_limit,
    )


def open_redactor(settings: Settings) -> Redactor:
    """Raises ConfigurationError when what it needs is not installed."""
    if settings.redactor == "patterns":
        return PatternRedactor()
    # Here, for it loads a language model.
    from service.redactors.presidio import open_presidio

    return open_presidio()


def regeneration_policy(settings: Settings, priority: int = PRIORITY_INGEST) -> RegenerationPolicy:
    return RegenerationPolicy(
        min_interactions=settings.min_interactions,
        debounce=settings.debounce,
        priority=priority,
    )
