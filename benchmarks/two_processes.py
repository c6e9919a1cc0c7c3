"""The same reads and ingest with two API processes, and with a second project's load beside them.

Reported, not judged: on a machine of two cores, the servers and the load generators share them.
"""

from statistics import median

from benchmarks.ingest import BATCH, batch_requests
from benchmarks.load import Load, LoadReport, http_request
from benchmarks.measurement import Measurement
from benchmarks.reads import SECONDS, cached_profiles
from benchmarks.stack import Stack

PROJECT, NEIGHBOUR = "two-processes", "two-processes-neighbour"
USERS = 200
CONNECTIONS = 16
ROUNDS = 3


async def measure(stack: Stack) -> list[Measurement]:
    keys = {name: await stack.create_key(name) for name in (PROJECT, NEIGHBOUR)}
    reads = {name: await _reads(stack, name, key) for name, key in keys.items()}
    loads = _Loads(keys, reads)
    with stack.api() as one:
        reads_by_one = [await stack.load.run(loads.reads(one, PROJECT)) for _ in range(ROUNDS)]
        ingest_by_one = [await stack.load.run(loads.ingest(one, PROJECT)) for _ in range(ROUNDS)]
    with stack.api(processes=2) as two:
        reads_by_two = [await stack.load.run(loads.reads(two, PROJECT)) for _ in range(ROUNDS)]
        ingest_by_two = [await stack.load.run(loads.ingest(two, PROJECT)) for _ in range(ROUNDS)]
        both_read = [
            await stack.load.run_together(loads.reads(two, PROJECT), loads.reads(two, NEIGHBOUR))
            for _ in range(ROUNDS)
        ]
        beside_ingest = [
            (
                await stack.load.run_together(
                    loads.reads(two, PROJECT), loads.ingest(two, NEIGHBOUR)
                )
            )[0]
            for _ in range(ROUNDS)
        ]
    shares = [(own.rate, neighbour.rate) for own, neighbour in both_read]
    return [
        _rate("reads_two_processes", "requests/s", reads_by_two, reads_by_one),
        _rate("ingest_two_processes", "events/s", ingest_by_two, ingest_by_one, each=BATCH),
        Measurement(
            "reads_beside_a_reading_neighbour",
            value=median(min(pair) for pair in shares),
            unit="requests/s",
            limit=median(max(pair) for pair in shares),
        ),
        _rate("reads_beside_an_ingesting_neighbour", "requests/s", beside_ingest, reads_by_two),
        Measurement(
            "reads_p99_beside_an_ingesting_neighbour",
            value=median(report.p99_ms for report in beside_ingest),
            unit="ms",
            limit=median(report.p99_ms for report in reads_by_two),
        ),
    ]


class _Loads:
    """The loads of two projects; no event is sent twice."""

    def __init__(self, keys: dict[str, str], reads: dict[str, list[bytes]]) -> None:
        self._keys = keys
        self._reads = reads
        self._ingests = 0

    def reads(self, port: int, project_id: str) -> Load:
        return Load(port, self._reads[project_id], CONNECTIONS, SECONDS)

    def ingest(self, port: int, project_id: str) -> Load:
        self._ingests += 1
        requests = batch_requests(f"two-{self._ingests}", self._keys[project_id])
        return Load(port, requests, CONNECTIONS, SECONDS, once=True)


async def _reads(stack: Stack, project_id: str, key: str) -> list[bytes]:
    bodies = await cached_profiles(stack, project_id, USERS)
    return [http_request("GET", f"/v1/users/{user_id}/profile", key=key) for user_id in bodies]


def _rate(
    name: str, unit: str, found: list[LoadReport], limit: list[LoadReport], *, each: int = 1
) -> Measurement:
    return Measurement(
        name,
        value=median(report.rate for report in found) * each,
        unit=unit,
        limit=median(report.rate for report in limit) * each,
    )
