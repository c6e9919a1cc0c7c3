"""What kind of Redis this is."""

from dataclasses import dataclass
from time import monotonic

from redis.asyncio import Redis

from service.cache.profile_cache import open_pool


@dataclass(frozen=True, slots=True)
class CacheServer:
    """`name`: Redis or Valkey. `round_trip` in seconds, on a connection that is open already."""

    name: str
    version: str
    round_trip: float


async def read_server(url: str, seconds: float) -> CacheServer:
    """Raises redis-py's RedisError, or OSError, when it does not answer within `seconds`."""
    redis = Redis.from_pool(open_pool(url, seconds))
    try:
        found = await redis.info("server")
        began = monotonic()
        await redis.ping()
        round_trip = monotonic() - began
    finally:
        await redis.aclose()
    # Valkey says `redis_version: 7.2.4` for programs that ask for no more.
    valkey = found.get("valkey_version")
    return CacheServer(
        "Valkey" if valkey else "Redis", str(valkey or found["redis_version"]), round_trip
    )
