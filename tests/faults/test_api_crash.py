"""`kill -9` of the API while clients write: what was acknowledged is kept, once."""

from service.config import Settings
from service.embedded import EmbeddedServers
from service.runtime import Runtime
from tests.conftest import ApiKeyMaker
from tests.faults.histories import (
    Ledger,
    check_histories,
    check_profiles,
    retrying_writers,
    until_worked_off,
    user_names,
)
from tests.faults.processes import Processes, eventually, service_environment

WRITERS = 16
KILLS = 3
ACKS_BETWEEN_KILLS = 60


async def test_killing_the_api_under_writers_loses_and_doubles_nothing(
    servers: EmbeddedServers,
    settings: Settings,
    runtime: Runtime,
    processes: Processes,
    make_key: ApiKeyMaker,
    project_id: str,
) -> None:
    environment = service_environment(servers)
    api = await processes.start_api(environment)
    async with retrying_writers(api.url, await make_key(), WRITERS, list(user_names(12))) as ledger:
        for _ in range(KILLS):
            await _acks(ledger, ACKS_BETWEEN_KILLS)
            api.kill()
            api = await processes.start_api(environment, api.port)
        await _acks(ledger, ACKS_BETWEEN_KILLS)
    await check_histories(runtime.database, project_id, ledger)
    assert set(ledger.answers) == {200}

    await processes.start_worker(environment)
    await until_worked_off(runtime.database, project_id, seconds=30)
    await check_profiles(runtime.database, project_id)


async def _acks(ledger: Ledger, count: int) -> None:
    target = len(ledger.acked) + count
    await eventually(lambda: len(ledger.acked) >= target, 30)
