"""What benchmarks of warm reads share: users with cached profiles, and the limit of a read."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import redis

from benchmarks.histories import cloned_events, store, write_profiles
from benchmarks.load import Load, LoadReport, http_request
from benchmarks.stack import Stack
from service.runtime import open_generator, open_runtime

ROUNDS = 3
SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Medians:
    """Medians over the rounds: answers a second, latencies in milliseconds."""

    rate: float
    p50_ms: float
    p99_ms: float


async def cached_profiles(stack: Stack, project_id: str, users: int) -> dict[str, bytes]:
    """Give `users` users a history and a cached profile; returns each one's body."""
    runtime = await open_runtime(stack.settings)
    try:
        events = cloned_events(users)
        await store(runtime, project_id, events)
        await write_profiles(runtime, open_generator(runtime.settings))
        bodies = {}
        for user_id in sorted({event["user_id"] for event in events}):
            bodies[user_id] = (await runtime.reader.read_existing(project_id, user_id)).body
        return bodies
    finally:
        await runtime.close()


@contextmanager
def read_limit(stack: Stack, bodies: Mapping[str, bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """The bare application, which serves the same bytes; its port and the requests to send."""
    with redis.Redis.from_url(stack.servers.redis_url) as client:
        client.mset({f"limit:{user_id}": body for user_id, body in bodies.items()})
    with stack.limit_app() as port:
        yield port, [http_request("GET", f"/{user_id}") for user_id in bodies]


async def in_turn(stack: Stack, subject: Load, limit: Load) -> tuple[Medians, Medians]:
    """Both loads, one after the other, round by round: what slows the machine slows both."""
    subjects, limits = [], []
    for _ in range(ROUNDS):
        limits.append(await stack.load.run(limit))
        subjects.append(await stack.load.run(subject))
    return _medians(subjects), _medians(limits)


def _medians(reports: list[LoadReport]) -> Medians:
    return Medians(
        rate=median(report.rate for report in reports),
        p50_ms=median(report.p50_ms for report in reports),
        p99_ms=median(report.p99_ms for report in reports),
    )
