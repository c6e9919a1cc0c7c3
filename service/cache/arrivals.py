"""How many interactions came in lately, by project: counted in Redis by spans of a few seconds.

A process adds up what it takes in and tells Redis once a second, so no request waits for it.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from time import time

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.cache.entry import user_digest
from service.cache.profile_cache import open_pool
from service.circuit_breaker import CircuitBreaker

SPAN_SECONDS = 5
SHOWN_SPANS = 60
_TELL_SECONDS = 1.0
_KEPT_SECONDS = 2 * SPAN_SECONDS * SHOWN_SPANS
_FAILURES = (RedisError, OSError, TimeoutError, RuntimeError)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What came in during the `SPAN_SECONDS` from `begins_at` on, in seconds since 1970."""

    begins_at: int
    count: int


class ArrivalCounts:
    """The counts of one process. While Redis is away nothing is counted, and nothing waits."""

    def __init__(self, redis: Redis, retry_after: float) -> None:
        self._redis = redis
        self._breaker = CircuitBreaker(retry_after)
        self._untold: Counter[tuple[str, int]] = Counter()
        self._telling: asyncio.Task[None] | None = None

    def add(self, project_id: str, count: int) -> None:
        """Note that `count` interactions of a project were accepted just now."""
        if not count:
            return
        self._untold[project_id, _span(time())] += count
        if self._telling is None:
            self._telling = asyncio.create_task(self._tell_soon())

    async def read(self, project_id: str) -> list[Arrivals] | None:
        """The last `SHOWN_SPANS` spans, oldest first; None while Redis does not answer."""
        newest = _span(time())
        spans = range(newest - (SHOWN_SPANS - 1) * SPAN_SECONDS, newest + 1, SPAN_SECONDS)
        if not self._breaker.allows():
            return None
        try:
            counts = await self._redis.mget([_key(project_id, span) for span in spans])
        except _FAILURES as error:
            self._failed(error)
            return None
        self._breaker.succeeded()
        return [Arrivals(span, int(count or 0)) for span, count in zip(spans, counts, strict=True)]

    async def close(self) -> None:
        if self._telling:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)
        await self._tell()
        await self._redis.aclose()

    async def _tell_soon(self) -> None:
        await asyncio.sleep(_TELL_SECONDS)
        self._telling = None
        await self._tell()

    async def _tell(self) -> None:
        untold, self._untold = self._untold, Counter()
        if not untold or not self._breaker.allows():
            return
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for (project_id, span), count in untold.items():
                    pipeline.incrby(_key(project_id, span), count)
                    pipeline.expire(_key(project_id, span), _KEPT_SECONDS)
                await pipeline.execute()
        except _FAILURES as error:
            self._failed(error)
            return
        self._breaker.succeeded()

    def _failed(self, error: Exception) -> None:
        if self._breaker.failed():
            log.warning("arrivals_not_counted", error=type(error).__name__)


def open_arrival_counts(url: str, *, timeout: float, retry_after: float) -> ArrivalCounts:
    """Counts at `url` (`redis://…`); times in seconds. Connects on first use."""
    return ArrivalCounts(Redis.from_pool(open_pool(url, timeout)), retry_after)


def _span(now: float) -> int:
    return int(now) // SPAN_SECONDS * SPAN_SECONDS


def _key(project_id: str, span: int) -> str:
    return f"bump:{{{user_digest(project_id, '').hex()}}}:a:{span}"
