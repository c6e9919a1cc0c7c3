"""`GET /v1/users/{id}/profile` from the cache, with an API key, on one API process.

Limit: a bare ASGI application under the same server that does one redis-py GET and returns the
same bytes. Of the 99th percentile: three medians and 2 ms.
"""

from benchmarks.load import Load, http_request
from benchmarks.measurement import Measurement, Target
from benchmarks.reads import SECONDS, Medians, cached_profiles, in_turn, read_limit
from benchmarks.stack import Stack

PROJECT = "cached-reads"
USERS = 200
CONCURRENCY = (8, 32)
PEER_RATE = "540 to 1,070 requests/s"
PEER_P99 = "170 to 220 ms"


async def measure(stack: Stack) -> list[Measurement]:
    key = await stack.create_key(PROJECT)
    bodies = await cached_profiles(stack, PROJECT, USERS)
    reads = [http_request("GET", f"/v1/users/{user_id}/profile", key=key) for user_id in bodies]
    found: list[Measurement] = []
    with stack.api() as port, read_limit(stack, bodies) as (limit_port, limit_reads):
        for concurrency in CONCURRENCY:
            subject, limit = await in_turn(
                stack,
                Load(port, reads, concurrency, SECONDS),
                Load(limit_port, limit_reads, concurrency, SECONDS),
            )
            found += _measurements(concurrency, subject, limit)
    return found


def _measurements(concurrency: int, subject: Medians, limit: Medians) -> list[Measurement]:
    return [
        Measurement(
            name=f"cached_reads_c{concurrency}",
            value=subject.rate,
            unit="requests/s",
            limit=limit.rate,
            target=Target("ratio", ">=", 0.9),
            peer=PEER_RATE,
        ),
        Measurement(
            name=f"cached_reads_p99_c{concurrency}",
            value=subject.p99_ms,
            unit="ms",
            limit=3 * subject.p50_ms + 2,
            target=Target("ratio", "<=", 1),
            peer=PEER_P99,
        ),
    ]
