"""What a soak runs: one API, two workers, servers of their own, and proxies between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.fault_proxy import FaultProxy, proxy_before
from tests.faults.private_stack import PrivateStack, open_private_stack
from tests.faults.processes import ApiProcess, Processes, WorkerProcess, service_environment
from tests.faults.soak.disturbances import REVISION_TTL_SECONDS

WORKERS = 2
LEASE_SECONDS = 1.5
_SETTINGS = {
    "debounce": 0.5,
    "max_delay": 2,
    "lease": LEASE_SECONDS,
    "backoff": 0.5,
    "revision_ttl": REVISION_TTL_SECONDS,
    "drain_delay": 0.3,
    "drain_timeout": 5,
}


@dataclass(slots=True)
class System:
    """The API reaches Postgres and Valkey through the proxies, the workers reach them directly."""

    stack: PrivateStack
    processes: Processes
    to_postgres: FaultProxy
    to_valkey: FaultProxy
    api_environment: dict[str, str]
    worker_environment: dict[str, str]
    api: ApiProcess
    workers: list[WorkerProcess]

    async def restart_api(self) -> None:
        """Once it has ended. Its URL stays."""
        self.api = await self.processes.restart_api(self.api_environment, self.api.port)

    async def restart_worker(self, number: int) -> None:
        """Once it has ended."""
        self.workers[number] = await self.processes.restart_worker(self.worker_environment)


@asynccontextmanager
async def running_system(logs: Path) -> AsyncIterator[System]:
    """Everything up and healthy; all of it ends with the block. Logs of processes go to `logs`."""
    processes = Processes(logs)
    async with AsyncExitStack() as resources:
        stack = await resources.enter_async_context(open_private_stack())
        resources.callback(processes.end)
        servers = stack.servers
        to_postgres, database_url = await resources.enter_async_context(
            proxy_before(servers.app_url)
        )
        to_valkey, redis_url = await resources.enter_async_context(proxy_before(servers.redis_url))
        direct = service_environment(servers, **_SETTINGS)
        proxied = service_environment(
            servers, database_url=database_url, redis_url=redis_url, **_SETTINGS
        )
        api, *workers = await asyncio.gather(
            processes.start_api(proxied), *(processes.start_worker(direct) for _ in range(WORKERS))
        )
        yield System(stack, processes, to_postgres, to_valkey, proxied, direct, api, list(workers))
