"""`GET /v1/users/{id}/profile` while the cache is frozen, stopped or flushed, on one API process.

The value is what that adds to the 99th percentile of the same reads with a cache that works; the
fault strikes as the measurement begins. An answer outside 2xx ends the benchmark with an error.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import redis

from benchmarks.load import WARM_UP_SECONDS, Load, http_request
from benchmarks.measurement import Measurement, Target
from benchmarks.reads import ROUNDS, cached_profiles
from benchmarks.stack import Stack
from tests.valkey_server import free_port, frozen, running_valkey

PROJECT = "cache-outage"
USERS = 200
CONNECTIONS = 32
SECONDS = 5.0
ADDED_P99_MS = 60.0
# The API's own time-out, where the other benchmarks are patient with a noisy machine.
REDIS_TIMEOUT_SECONDS = 0.05
# Longer than the API keeps away from a cache that has failed.
_RECOVERY_SECONDS = 1.5

Fault = Callable[[ExitStack], None]


class OwnCache:
    """A Valkey that nothing else uses; each method breaks it until the `ExitStack` is closed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._port = free_port()
        self._running = ExitStack()
        self.url = f"redis://127.0.0.1:{self._port}"

    def start(self) -> None:
        self._process = self._running.enter_context(running_valkey(self._port, self._directory))

    def stop(self) -> None:
        self._running.close()

    def frozen(self, healed: ExitStack) -> None:
        healed.enter_context(frozen(self._process))

    def stopped(self, healed: ExitStack) -> None:
        self.stop()
        healed.callback(self.start)

    def flushed(self, healed: ExitStack) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()


async def measure(stack: Stack) -> list[Measurement]:
    key = await stack.create_key(PROJECT)
    users = await cached_profiles(stack, PROJECT, USERS)
    reads = [http_request("GET", f"/v1/users/{user_id}/profile", key=key) for user_id in users]
    with (
        _own_cache() as cache,
        stack.api(redis_url=cache.url, redis_timeout=REDIS_TIMEOUT_SECONDS) as port,
    ):
        load = Load(port, reads, CONNECTIONS, SECONDS)
        added = await _added_p99_ms(stack, load, (cache.frozen, cache.stopped, cache.flushed))
    return [
        Measurement(
            name=f"cache_{fault}_added_p99",
            value=median(values),
            unit="ms",
            limit=ADDED_P99_MS,
            target=Target("ratio", "<=", 1),
        )
        for fault, values in added.items()
    ]


@contextmanager
def _own_cache() -> Iterator[OwnCache]:
    with TemporaryDirectory(prefix="bump-bench-") as directory:
        cache = OwnCache(Path(directory))
        cache.start()
        try:
            yield cache
        finally:
            cache.stop()


async def _added_p99_ms(
    stack: Stack, load: Load, faults: Sequence[Fault]
) -> dict[str, list[float]]:
    """By fault, a value a round; each round begins with a cache that works."""
    added: dict[str, list[float]] = {fault.__name__: [] for fault in faults}
    for _ in range(ROUNDS):
        healthy = await stack.load.run(load)
        for fault in faults:
            with ExitStack() as healed:
                struck, _ = await asyncio.gather(stack.load.run(load), _strike(fault, healed))
            added[fault.__name__].append(struck.p99_ms - healthy.p99_ms)
            await asyncio.sleep(_RECOVERY_SECONDS)
    return added


async def _strike(fault: Fault, healed: ExitStack) -> None:
    await asyncio.sleep(WARM_UP_SECONDS)
    fault(healed)
