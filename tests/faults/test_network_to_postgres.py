"""A bad network between the API and Postgres: nothing acked is lost, nothing is stored twice."""

import asyncio
import random
import secrets

import httpx2
import pytest

from service.embedded import EmbeddedServers
from service.runtime import Runtime
from tests.conftest import ApiKeyMaker
from tests.faults.fault_proxy import (
    Fault,
    FaultProxy,
    Hang,
    Healthy,
    Latency,
    Limit,
    Refuse,
    Reset,
    Slicer,
    proxy_before,
)
from tests.faults.histories import (
    Event,
    Ledger,
    check_histories,
    new_events,
    retrying_writers,
    user_names,
)
from tests.faults.processes import ApiProcess, Processes, eventually, service_environment

pytestmark = pytest.mark.slow

WRITERS = 16
ACKS_BETWEEN_FAULTS = 60
SLOW: tuple[Fault, ...] = (Latency(0.01, jitter=0.05), Slicer(7))
CUTS_IN_AN_ANSWER = 5
LONGEST_CUT_BYTES = 5_000


async def test_writers_through_a_bad_network_lose_and_double_nothing(
    servers: EmbeddedServers,
    runtime: Runtime,
    processes: Processes,
    make_key: ApiKeyMaker,
    project_id: str,
) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 - pytest shows it when the test fails
    chance = random.Random(seed)
    cuts = [Limit(chance.randrange(1, LONGEST_CUT_BYTES)) for _ in range(CUTS_IN_AN_ANSWER)]
    key, users = await make_key(), list(user_names(12))
    async with proxy_before(servers.app_url) as (proxy, database_url):
        api = await processes.start_api(service_environment(servers, database_url=database_url))
        async with retrying_writers(api.url, key, WRITERS, users) as ledger:
            await _acks(ledger)
            for fault in SLOW:
                await proxy.set(fault)
                await _acks(ledger)
            assert set(ledger.answers) == {200}
            for fault in (Reset(), Refuse(), *cuts):
                await _fail_and_heal(proxy, fault, ledger)

    assert set(ledger.answers) == {200, 503}
    assert ledger.without_advice == 0
    await check_histories(runtime.database, project_id, ledger)


async def test_a_postgres_that_hangs_keeps_no_request_for_ever(
    servers: EmbeddedServers,
    runtime: Runtime,
    processes: Processes,
    make_key: ApiKeyMaker,
    project_id: str,
) -> None:
    key = await make_key()
    first, second = (
        [new_events([user_id], name, per_user=2) for user_id in user_names(WRITERS)]
        for name in ("first", "second")
    )
    async with proxy_before(servers.app_url) as (proxy, database_url):
        api = await processes.start_api(service_environment(servers, database_url=database_url))
        assert await _answers(api, key, first) == {200}
        await proxy.set(Hang())
        async with asyncio.timeout(30):
            assert await _answers(api, key, second) == {503}
        await proxy.set(Healthy())
        assert await _answers(api, key, second) == {200}
    ledger = Ledger()
    for batch in (*first, *second):
        ledger.note_ack(batch)
    ledger.sent = ledger.acked
    await check_histories(runtime.database, project_id, ledger)


async def _fail_and_heal(proxy: FaultProxy, fault: Fault, ledger: Ledger) -> None:
    refused = ledger.answers[503]
    await proxy.set(fault)
    await eventually(lambda: ledger.answers[503] > refused, 30)
    await proxy.set(Healthy())
    await _acks(ledger)


async def _acks(ledger: Ledger) -> None:
    target = len(ledger.acked) + ACKS_BETWEEN_FAULTS
    await eventually(lambda: len(ledger.acked) >= target, 30)


async def _answers(api: ApiProcess, key: str, batches: list[list[Event]]) -> set[int]:
    """The statuses of all batches, sent at once."""
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(headers=headers, timeout=60, trust_env=False) as client:
        url = f"{api.url}/v1/interactions"
        posts = (client.post(url, json={"interactions": batch}) for batch in batches)
        return {answer.status_code for answer in await asyncio.gather(*posts)}
