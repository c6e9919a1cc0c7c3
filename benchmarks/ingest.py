"""`POST /v1/interactions` in batches of 100 new events, deduplicated, on one API process.

Limit: asyncpg's COPY of the same rows, 100 at a time, into a clone of the table with its indexes
but without row-level security, deduplication, revisions and regeneration requests.
"""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from statistics import median
from time import perf_counter
from typing import Any

from benchmarks.load import Load, http_request
from benchmarks.measurement import Measurement, Target
from benchmarks.stack import Stack

PROJECT = "ingest"
BATCH = 100
CONNECTIONS = 8
USERS = 1_000
ROUNDS = 3
SECONDS = 4.0
# More than a round can send; what is left over is not used.
BATCHES_A_ROUND = 2_000
PEER = "14 to 79 single messages/s"
_CLONE = "create table interactions_clone (like interactions including all)"
_TEXT = "Read another chapter on the train and wrote a long note about it, number {}."
_STARTED_AT = datetime(2026, 1, 1, tzinfo=UTC)


async def measure(stack: Stack) -> list[Measurement]:
    key = await stack.create_key(PROJECT)
    subjects, limits = [], []
    with stack.api() as port:
        for number in range(ROUNDS):
            limits.append(await _copy_rate(stack, number))
            requests = batch_requests(f"http-{number}", key)
            load = Load(port, requests, CONNECTIONS, SECONDS, once=True)
            subjects.append((await stack.load.run(load)).rate * BATCH)
    value, limit = median(subjects), median(limits)
    return [
        Measurement("ingest", value, "events/s", limit, Target("ratio", ">=", 0.2), PEER),
        Measurement(
            "ingest_absolute", value, "events/s", limit, Target("value", ">=", 10_000), PEER
        ),
    ]


def batch_requests(name: str, key: str) -> list[bytes]:
    """More requests than a round can send, each with new events; `name` makes their ids."""
    return [
        http_request("POST", "/v1/interactions", key=key, body=_body(batch))
        for batch in _batches(name)
    ]


async def _copy_rate(stack: Stack, number: int) -> float:
    """Events a second by COPY over as many connections as the load has."""
    setup = await stack.connect()
    if number == 0:
        await setup.execute(_CLONE)
    await setup.close()
    batches = iter([[_row(event) for event in batch] for batch in _batches(f"copy-{number}")])
    connections = [await stack.connect() for _ in range(CONNECTIONS)]
    started = perf_counter()
    counts = await asyncio.gather(
        *(_copy(connection, batches, started + SECONDS) for connection in connections)
    )
    elapsed = perf_counter() - started
    for connection in connections:
        await connection.close()
    return sum(counts) / elapsed


async def _copy(connection: Any, batches: Iterator[list[Any]], end: float) -> int:
    count = 0
    for rows in batches:
        await connection.copy_records_to_table("interactions_clone", records=rows, columns=_COLUMNS)
        count += len(rows)
        if perf_counter() >= end:
            break
    return count


_COLUMNS = (
    "project_id",
    "user_id",
    "source",
    "event_id",
    "occurred_at",
    "revision",
    "type",
    "text",
    "attributes",
)


def _batches(name: str) -> Iterator[list[dict[str, Any]]]:
    for batch in range(BATCHES_A_ROUND):
        yield [_event(name, batch * BATCH + position) for position in range(BATCH)]


def _event(name: str, number: int) -> dict[str, Any]:
    # The step is prime to the number of users: a batch's users are all different.
    return {
        "user_id": f"user-{number * 7 % USERS:04}",
        "event_id": f"{name}-{number}",
        "occurred_at": (_STARTED_AT + timedelta(seconds=number)).isoformat(),
        "text": _TEXT.format(number),
        "attributes": {"category": "reading", "minutes": number % 60},
    }


def _body(batch: list[dict[str, Any]]) -> bytes:
    return json.dumps({"interactions": batch}).encode()


def _row(event: dict[str, Any]) -> tuple[Any, ...]:
    return (
        PROJECT,
        event["user_id"],
        "api",
        event["event_id"],
        datetime.fromisoformat(event["occurred_at"]),
        1,
        "interaction",
        event["text"],
        json.dumps(event["attributes"]),
    )
