"""The newest 200 interactions of one user out of a large table, as a worker reads them.

Limit: the same query through asyncpg alone, on one connection, outside a transaction. The target
is 5 ms at the 99th percentile with 10 million rows; `--rows` says how many there are.
"""

import random
from collections.abc import Awaitable, Callable, Sequence
from statistics import median
from time import perf_counter

from benchmarks.measurement import Measurement, Target, quantile
from benchmarks.stack import Stack
from service.db.interactions import latest
from service.db.session import Database
from service.runtime import open_runtime

PROJECT = "history-fetch"
DEFAULT_ROWS = 1_000_000
ROWS_A_USER = 250
HISTORY = 200
FETCHES = 500
ROUNDS = 3
_SEED = 1

# A user's rows come at different times, so they lie scattered over the table.
_FILL = """
insert into interactions (
    project_id, user_id, source, event_id, occurred_at, revision, type, text, attributes
)
select $1, 'user-' || n % $3::bigint, 'api', n::text, timestamptz '2020-01-01' + n * interval '1 s',
       1, 'interaction', 'Read another chapter on the train, number ' || n,
       '{"category": "reading"}'
from generate_series(0, $2::bigint - 1) as n
"""
_LATEST = """
select source, event_id, occurred_at, type, text, attributes, revision from interactions
where project_id = $1 and user_id = $2 and revision <= $3
order by occurred_at desc, source desc, event_id desc
limit $4
"""

Fetch = Callable[[str], Awaitable[int]]


async def measure(stack: Stack, rows: int = DEFAULT_ROWS) -> list[Measurement]:
    users = max(1, rows // ROWS_A_USER)
    connection = await stack.connect()
    # The connection is the owner's, whom row-level security binds as well.
    await connection.execute("select set_config('bump.project_id', $1, false)", PROJECT)
    await connection.execute(_FILL, PROJECT, rows, users, timeout=3_600)
    await connection.execute("vacuum (analyze) interactions", timeout=3_600)

    async def bare(user_id: str) -> int:
        return len(await connection.fetch(_LATEST, PROJECT, user_id, 1, HISTORY))

    runtime = await open_runtime(stack.settings)
    try:
        subjects, limits = [], []
        for number in range(ROUNDS):
            chosen = random.Random(_SEED + number).choices(range(users), k=FETCHES)
            limits.append(await _p99_ms(bare, chosen))
            subjects.append(await _p99_ms(_through(runtime.database), chosen))
    finally:
        await runtime.close()
        await connection.close()
    return [
        Measurement(
            name=f"history_fetch_p99_{rows}_rows",
            value=median(subjects),
            unit="ms",
            limit=median(limits),
            target=Target("value", "<=", 5),
        )
    ]


def _through(database: Database) -> Fetch:
    async def fetch(user_id: str) -> int:
        async with database.transaction(PROJECT) as tx:
            return len(await latest(tx, user_id, revision=1, limit=HISTORY))

    return fetch


async def _p99_ms(fetch: Fetch, users: Sequence[int]) -> float:
    took = []
    for user in users:
        started = perf_counter()
        assert await fetch(f"user-{user}") == HISTORY
        took.append((perf_counter() - started) * 1000)
    return quantile(sorted(took), 0.99)
