"""Settings, read once per process from the environment (prefix `BUMP_`) or a `.env` file."""

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    field_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

# SQLAlchemy reads a bare postgresql:// as another driver.
_POSTGRES = ("postgresql+asyncpg://",)
_REDIS = ("redis://", "rediss://", "unix://")


class DownstreamSettings(BaseModel):
    """One downstream model more, beside the one that BUMP_DOWNSTREAM_… describe."""

    model_config = ConfigDict(extra="forbid")

    url: str
    model: str
    api_key: SecretStr | None = None
    context: PositiveInt = 8_192
    tokenizer: Path | None = None
    fallback: str | None = None
    cache_salt_key: SecretStr | None = None


class Settings(BaseSettings):
    """All of Bump's configuration. Times are seconds, sizes bytes, budgets tokens."""

    model_config = SettingsConfigDict(env_prefix="BUMP_", env_file=".env", extra="ignore")

    database_url: SecretStr | None = Field(
        default=None, description="Postgres, application role: postgresql+asyncpg://…"
    )
    database_admin_url: SecretStr | None = Field(
        default=None, description="Postgres, owner role; only `bump migrate` and `bump keys` use it"
    )
    database_pool_size: PositiveInt = 10
    redis_url: SecretStr | None = Field(default=None, description="Redis or Valkey: redis://…")
    redis_timeout: PositiveFloat = Field(default=0.05, description="for one cache round trip")
    redis_retry_after: PositiveFloat = Field(
        default=1.0, description="how long the breaker keeps away from a failing cache"
    )
    profile_ttl: PositiveInt = Field(default=86_400, description="of a cached profile")
    revision_ttl: PositiveInt = Field(
        default=300,
        description="of a cached revision: the longest that `stale` can be wrong after a crash",
    )

    auth: Literal["keys", "loopback"] = Field(
        default="keys", description="`loopback` serves keyless calls from this machine only"
    )
    loopback_project: str = "default"
    key_cache_ttl: PositiveFloat = Field(
        default=5.0, description="the longest that a revoked key keeps working"
    )

    generator: Literal["extractive", "llm"] = Field(
        default="extractive", description="`llm` needs the three settings below"
    )
    generator_artifact: Path | None = Field(
        default=None, description="folder of a trained policy, which `extractive` then chooses by"
    )
    artifact_store: Path | None = Field(
        default=None,
        description="folder of trained generators, which every worker and the LLM server see",
    )
    generator_url: str | None = Field(
        default=None, description="OpenAI-compatible base URL with JSON schema output, as vLLM's"
    )
    generator_model: str | None = None
    generator_api_key: SecretStr | None = None
    generator_timeout: PositiveFloat = Field(default=120.0, description="deadline of one answer")
    generator_slow_first_token: PositiveFloat = Field(
        default=5.0,
        description="a first token that takes longer halves the generations asked for at once",
    )
    generator_stall_timeout: PositiveFloat = Field(
        default=30.0,
        description="the longest without a new token, the first included, before a generation is "
        "aborted; also how often a server that gives none is tried",
    )
    generator_history_tokens: PositiveInt = Field(
        default=6_000, description="of history in the prompt"
    )
    generator_history_selection: Literal["newest", "varied"] = Field(
        default="varied",
        description="of a longer history: its newest and, for half of the tokens, what shows most "
        "of its themes; or the `newest` alone. As the policy was trained",
    )
    generator_incremental: bool = Field(
        default=False,
        description="give `llm` its last profile and what is new, instead of the whole history",
    )
    profile_tokens: PositiveInt = Field(default=160, description="budget of a profile's text")
    history_limit: PositiveInt = Field(
        default=200, description="newest interactions that a generator reads"
    )
    min_interactions: PositiveInt = Field(default=5, description="before a user's first profile")
    debounce: float = Field(
        default=10.0, ge=0, description="quiet time after the last event before a regeneration"
    )
    max_delay: float = Field(
        default=120.0, ge=0, description="the longest that events keep postponing a regeneration"
    )

    deployment_check: PositiveFloat = Field(
        default=30.0,
        description="how often a worker looks whether a candidate must go back, or may go on",
    )
    regeneration_policy: Literal["debounce", "drift"] = Field(
        default="debounce",
        description="`drift` keeps a due profile that still predicts what its user does",
    )
    drift_tolerance: float = Field(
        default=0.0, description="how far below what is usual for its user a kept profile may score"
    )
    drift_max_unread: PositiveInt = Field(
        default=50, description="interactions after which a profile is rewritten in any case"
    )
    redactor: Literal["patterns", "presidio"] = Field(
        default="patterns",
        description="takes personal data out of profiles; `presidio` needs the extra of that name",
    )

    worker_batch: PositiveInt = Field(default=50, le=100, description="jobs claimed at once")
    worker_concurrency: PositiveInt = Field(
        default=4, description="jobs run at once; `llm` is asked for fewer while it is slow"
    )
    worker_poll: PositiveFloat = Field(default=0.3, description="pause between empty claims")
    lease: PositiveFloat = Field(
        default=30.0, description="after which another worker may take over"
    )
    generation_timeout: PositiveFloat = Field(
        default=400.0, description="of one profile; more than three times `generator_timeout`"
    )
    max_attempts: PositiveInt = Field(default=5, description="before a regeneration is parked")
    backoff: PositiveFloat = Field(default=2.0, description="of the first retry; doubles, jittered")

    downstream_url: str | None = Field(
        default=None,
        description="OpenAI-compatible base URL, such as http://127.0.0.1:8001/v1; or a model in"
        " this process: `local:bump-mini`, or `local:` and what transformers loads (extra `local`)",
    )
    downstream_model: str | None = None
    downstream_api_key: SecretStr | None = None
    downstream_timeout: PositiveFloat = Field(default=60.0, description="deadline of a whole call")
    downstream_first_chunk: PositiveFloat = Field(
        default=30.0, description="the longest that a stream's first chunk may take"
    )
    downstream_tokenizer: Path | None = Field(
        default=None, description="the model's tokenizer.json; else an estimate"
    )
    downstream_fallback: str | None = Field(
        default=None, description="the model of BUMP_DOWNSTREAMS that answers when this one fails"
    )
    downstream_cache_salt_key: SecretStr | None = Field(
        default=None, description="vLLM: keeps projects apart in its prefix cache"
    )
    downstreams: dict[str, DownstreamSettings] = Field(
        default={}, description="more models, by name, as JSON; callers choose with `model`"
    )
    prompt_profile_tokens: PositiveInt = Field(
        default=400, description="that a profile with its template may take in a prompt"
    )
    downstream_context: PositiveInt = Field(
        default=8_192, description="context window of the downstream model"
    )
    downstream_max_tokens: PositiveInt = Field(
        default=512, description="tokens generated when a request does not say"
    )

    judge: Literal["lexical", "embedding", "listwise", "likelihood"] = Field(
        default="lexical",
        description="says how well served profiles predicted what their users did next",
    )
    judge_url: str | None = Field(
        default=None,
        description="OpenAI-compatible base URL of the listwise and likelihood judges, as vLLM's",
    )
    judge_model: str | None = None
    judge_api_key: SecretStr | None = None
    judge_timeout: PositiveFloat = Field(default=60.0, description="deadline of one answer")

    client_timeout: PositiveInt = Field(
        default=12,
        description="the longest that a client may stand still: before a request, within it, or"
        " without taking the answer",
    )
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65_535,
        description="where a worker serves /metrics; the API has its own",
    )
    metrics_host: str = "127.0.0.1"
    drain_delay: float = Field(
        default=1.0, ge=0, description="that /readyz says no before connections are refused"
    )
    drain_timeout: PositiveFloat = Field(
        default=25.0, description="for requests and jobs in flight"
    )

    @field_validator("database_url", "database_admin_url")
    @classmethod
    def _names_postgres(cls, url: SecretStr | None) -> SecretStr | None:
        return _starting_with(_POSTGRES, url)

    @field_validator("redis_url")
    @classmethod
    def _names_redis(cls, url: SecretStr | None) -> SecretStr | None:
        return _starting_with(_REDIS, url)


def revealed(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


def _starting_with(schemes: tuple[str, ...], url: SecretStr | None) -> SecretStr | None:
    if url is None:
        return None
    if not url.get_secret_value().startswith(schemes):
        raise ValueError(f"must start with {' or '.join(schemes)}")
    try:
        _ = urlsplit(url.get_secret_value()).port
    except ValueError:
        # Without its reason, which quotes the URL, and so perhaps the password.
        raise ValueError(
            "cannot be read: percent-encode special characters of a password, and give the port "
            "as a number"
        ) from None
    return url
