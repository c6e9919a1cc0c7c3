"""`bump doctor`: what is wrong with an installation, in plain words, and what to do next."""

import os
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr
from redis.exceptions import AuthenticationError, RedisError

from service.cache.server import CacheServer, read_server
from service.commands.doctor_finding import Finding
from service.commands.doctor_models import model_findings
from service.commands.settings import database_url, read_settings, resolve_settings
from service.config import Settings
from service.db.projects import any_live_key
from service.db.regenerations import Backlog, backlog
from service.db.server import ServerFacts, broken_promise, outdated_schema, read_facts
from service.db.session import Database, open_database
from service.errors import ConfigurationError, DatabaseUnavailable
from service.runtime import SCHEMA_REVISION

# What commands read beside the settings.
_OTHER_VARIABLES = {"BUMP_DATA_DIR", "BUMP_API_URL", "BUMP_API_KEY"}
_CACHE_SECONDS = 2.0
_OLDEST_REDIS = (7, 2)
_LONGEST_DUE_SECONDS = 300.0
_LARGEST_SKEW = timedelta(seconds=2)


async def examine(data_dir: Path | None) -> AsyncIterator[Finding]:
    """Every check, one after the other; what builds on something that failed is left out.

    Each takes seconds at most. What is wrong with the installation is a finding and not raised.
    """
    try:
        settings = read_settings()
    except ConfigurationError as error:
        yield Finding("configuration", "error", str(error), "Nothing starts until it is corrected.")
        return
    for finding in misspelt(os.environ):
        yield finding
    # It starts its API with settings of its own, which say who may call.
    of_bump_up = settings.database_url is None
    try:
        settings = resolve_settings(data_dir)
        yield Finding("configuration", "ok", _places(settings, of_bump_up=of_bump_up))
    except ConfigurationError as error:
        yield Finding("configuration", "error", "There is no database.", str(error))
    if settings.database_url is not None:
        async for finding in _database_findings(settings, of_bump_up=of_bump_up):
            yield finding
    if settings.redis_url is not None:
        yield await _cache_finding(settings.redis_url.get_secret_value(), settings.redis_timeout)
    elif settings.database_url is not None:
        yield Finding("redis", "error", "BUMP_REDIS_URL is not set.", "Set it: redis://…")
    async for finding in model_findings(settings):
        yield finding


def misspelt(names: Iterable[str]) -> Iterator[Finding]:
    """Variables that nothing reads, and that are a slip away from one that something does."""
    # Not every unknown one: Kubernetes names variables after a service that is called bump.
    known = {f"BUMP_{name.upper()}" for name in Settings.model_fields} | _OTHER_VARIABLES
    for name in sorted(set(names) - known):
        close = get_close_matches(name, known, n=1, cutoff=0.9) if name.startswith("BUMP_") else []
        if close:
            advice = f"Did you mean {close[0]}?"
            yield Finding("configuration", "warning", f"Nothing reads {name}.", advice)


def _places(settings: Settings, *, of_bump_up: bool) -> str:
    whose = "`bump up`: " if of_bump_up else ""
    return (
        f"{whose}Postgres at {_place(settings.database_url)}, "
        f"Redis at {_place(settings.redis_url)}."
    )


def _place(url: SecretStr | None) -> str:
    """Host and port, or the socket: never the password."""
    if url is None:
        return "no address"
    parts = urlsplit(url.get_secret_value())
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.hostname}{port}" if parts.hostname else parts.path


async def _database_findings(settings: Settings, *, of_bump_up: bool) -> AsyncIterator[Finding]:
    database = open_database(database_url(settings), pool_size=1)
    try:
        facts = await read_facts(database)
        answered = datetime.now(UTC)
        yield server_finding(facts)
        yield clock_finding(facts.clock - answered)
        if problem := outdated_schema(facts, SCHEMA_REVISION):
            yield Finding("migrations", "error", problem, "It is safe while the service runs.")
            return
        yield Finding("migrations", "ok", f"The schema is at {facts.schema}.")
        if settings.auth == "keys" and not of_bump_up:
            yield await _key_finding(database)
        yield queue_finding(await backlog(database))
    except DatabaseUnavailable:
        found = f"Postgres at {_place(settings.database_url)} does not answer."
        yield Finding("database", "error", found, "Start it, or correct BUMP_DATABASE_URL.")
    except ConfigurationError as error:
        yield Finding("database", "error", str(error))
    finally:
        await database.close()


def server_finding(facts: ServerFacts) -> Finding:
    """Whether this Postgres, and this role, keep what Bump promises."""
    problem = broken_promise(facts)
    if problem:
        return Finding("database", "error", problem)
    found = f"Postgres {facts.version}; commits are durable, projects are kept apart."
    return Finding("database", "ok", found)


def clock_finding(ahead: timedelta) -> Finding:
    """What it means that the database's clock is so far ahead of this machine's."""
    seconds = abs(ahead.total_seconds())
    if abs(ahead) <= _LARGEST_SKEW:
        return Finding("clock", "ok", f"This machine and Postgres agree within {seconds:.1f} s.")
    side = "behind" if ahead > timedelta() else "ahead of"
    return Finding(
        "clock",
        "warning",
        f"This machine's clock is {seconds:.0f} s {side} Postgres's.",
        "Keep both by NTP: interactions without a time get this machine's, and those of the "
        "future are refused.",
    )


async def _key_finding(database: Database) -> Finding:
    if await any_live_key(database):
        return Finding("keys", "ok", "There is a live API key.")
    return Finding(
        "keys", "warning", "There is no API key, so nobody can call.", "Run `bump keys create`."
    )


def queue_finding(queue: Backlog) -> Finding:
    """What the queue says about the workers."""
    found = f"{queue.waiting:,} regenerations wait, {queue.parked:,} are parked."
    if queue.oldest_seconds > _LONGEST_DUE_SECONDS:
        return Finding(
            "queue",
            "warning",
            f"{found} The oldest has been due for {queue.oldest_seconds:,.0f} s.",
            "Is a worker running (`bump worker`)? If so, look at its log, or start more.",
        )
    if queue.parked:
        return Finding(
            "queue",
            "warning",
            found,
            "`bump regenerations list --state parked` says why; `bump regenerations requeue` "
            "tries them again.",
        )
    return Finding("queue", "ok", found)


async def _cache_finding(url: str, expected_seconds: float) -> Finding:
    place = _place(SecretStr(url))
    try:
        server = await read_server(url, _CACHE_SECONDS)
    except AuthenticationError:
        return Finding(
            "redis",
            "error",
            f"Redis at {place} refuses the password.",
            "Correct it in BUMP_REDIS_URL: redis://:PASSWORD@HOST:PORT.",
        )
    except (RedisError, OSError) as error:
        return Finding(
            "redis",
            "error",
            f"Redis at {place} does not answer ({type(error).__name__}).",
            "Start it, or correct BUMP_REDIS_URL. Meanwhile Postgres answers every read, and "
            "nobody can be erased.",
        )
    return cache_server_finding(server, expected_seconds)


def cache_server_finding(server: CacheServer, expected_seconds: float) -> Finding:
    milliseconds = server.round_trip * 1_000
    found = f"{server.name} {server.version}, a round trip takes {milliseconds:.1f} ms."
    version = tuple(int(part) for part in server.version.split(".")[:2])
    if version < _OLDEST_REDIS:
        return Finding("redis", "warning", found, "Use Redis 7.2 or newer, or Valkey.")
    if server.round_trip > expected_seconds:
        limit = f"{expected_seconds * 1_000:g} ms"
        return Finding(
            "redis",
            "warning",
            found,
            f"That is over BUMP_REDIS_TIMEOUT ({limit}), so it will be left aside: bring it "
            "nearer, or raise the limit.",
        )
    return Finding("redis", "ok", found)
