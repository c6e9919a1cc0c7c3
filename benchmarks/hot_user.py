"""What one user who does 100 things a second costs the others: their 99th percentiles.

The others read cached profiles and post single events at a pace that one API process bears with
ease. Limit: the same pace without the hot user.
"""

import json
from statistics import median

from benchmarks.load import Load, http_request
from benchmarks.measurement import Measurement, Target
from benchmarks.reads import cached_profiles
from benchmarks.stack import Stack

PROJECT = "hot-user"
USERS = 200
ROUNDS = 3
SECONDS = 10.0
READS_PER_SECOND = 300
POSTS_PER_SECOND = 50
HOT_POSTS_PER_SECOND = 100
CONNECTIONS = 8


async def measure(stack: Stack) -> list[Measurement]:
    key = await stack.create_key(PROJECT)
    users = list(await cached_profiles(stack, PROJECT, USERS))
    calm, busy = [], []
    with stack.api() as port:
        for number in range(ROUNDS):
            others = _others(port, key, users, f"calm-{number}")
            calm.append(await stack.load.run_together(*others))
            others = _others(port, key, users, f"busy-{number}")
            hot = _posts(port, key, ["hot"], f"hot-{number}", HOT_POSTS_PER_SECOND)
            busy.append(await stack.load.run_together(*others, hot))
    return [
        Measurement(
            name=f"hot_user_{what}_p99",
            value=median(reports[load].p99_ms for reports in busy),
            unit="ms",
            limit=median(reports[load].p99_ms for reports in calm),
            target=Target("ratio", "<=", 2),
        )
        for load, what in enumerate(("reads", "ingest"))
    ]


def _others(port: int, key: str, users: list[str], name: str) -> tuple[Load, Load]:
    reads = [http_request("GET", f"/v1/users/{user_id}/profile", key=key) for user_id in users]
    return (
        Load(port, reads, CONNECTIONS, SECONDS, per_second=READS_PER_SECOND),
        _posts(port, key, users, name, POSTS_PER_SECOND),
    )


def _posts(port: int, key: str, users: list[str], name: str, per_second: float) -> Load:
    """Single new events of the users in turn, more than can be sent in time."""
    bodies = (
        {
            "user_id": users[number % len(users)],
            "event_id": f"{name}-{number}",
            "text": "Went out again.",
        }
        for number in range(int(2 * SECONDS * per_second))
    )
    posts = [
        http_request("POST", "/v1/interactions", key=key, body=json.dumps(body).encode())
        for body in bodies
    ]
    return Load(port, posts, CONNECTIONS, SECONDS, once=True, per_second=per_second)
