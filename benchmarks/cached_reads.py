"""`GET /v1/users/{id}/profile` from the cache, authenticated, against a bare ASGI application.

Limit: a bare application that does one redis-py GET and returns the same bytes, under the same
server. Both run at the same time, and the load goes to one and the other in turn.
"""

from collections.abc import Sequence
from statistics import median

import redis

from benchmarks.histories import cloned_events, store, write_profiles
from benchmarks.load import Load, LoadReport, http_request
from benchmarks.measurement import Measurement, Target
from benchmarks.stack import Stack
from service.runtime import open_generator, open_runtime

PROJECT = "cached-reads"
USERS = 200
ROUNDS = 3
SECONDS = 3.0
CONCURRENCY = (8, 32)
PEER = "540 to 1,070 requests/s, p99 170 to 220 ms (nearest memory servers)"


async def measure(stack: Stack) -> list[Measurement]:
    key = await stack.create_key(PROJECT)
    users = await prepare_profiles(stack, PROJECT, USERS)
    found: list[Measurement] = []
    with stack.api() as api_port, stack.limit_app() as limit_port:
        reads = [http_request("GET", f"/v1/users/{user}/profile", key=key) for user in users]
        await stack.load.run(Load(api_port, reads, 8, 1.0))  # Fills the cache.
        limit_reads = prepare_limit(stack, users, await _bodies(stack, users))
        for concurrency in CONCURRENCY:
            subject, limit = await in_turn(
                stack,
                Load(api_port, reads, concurrency, SECONDS),
                Load(limit_port, limit_reads, concurrency, SECONDS),
            )
            found += _measurements(concurrency, subject, limit)
    return found


async def prepare_profiles(stack: Stack, project_id: str, users: int) -> list[str]:
    """Give `users` users a history and a profile; returns their ids."""
    runtime = await open_runtime(stack.settings)
    try:
        events = cloned_events(users)
        await store(runtime, project_id, events)
        await write_profiles(runtime, open_generator(runtime.settings))
    finally:
        await runtime.close()
    return sorted({event["user_id"] for event in events})
