"""A real API process before a real model process, and a user with a profile to ask as."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import httpx2
import pytest

from service.embedded import EmbeddedServers
from service.worker import Worker
from tests.clients.either_client import EitherClient, either_client
from tests.conftest import ApiKeyMaker
from tests.faults.processes import ApiProcess, Processes, service_environment
from tests.integration.api.calls import write_profile

MODEL = "tiny"


@dataclass(frozen=True, slots=True)
class Address:
    """What an application changes: the base URL and the key. `ana` has a profile there."""

    base_url: str
    api_key: str


@pytest.fixture(scope="module")
def client_processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    started = Processes(tmp_path_factory.mktemp("logs"))
    yield started
    started.end()


@pytest.fixture(scope="module")
async def clients_api(client_processes: Processes, servers: EmbeddedServers) -> ApiProcess:
    model = await client_processes.start_model()
    return await client_processes.start_api(
        service_environment(servers, downstream_url=model.url, downstream_model=MODEL)
    )


@pytest.fixture
async def address(
    client: httpx2.AsyncClient, clients_api: ApiProcess, worker: Worker, make_key: ApiKeyMaker
) -> Address:
    await write_profile(client, worker)
    return Address(f"{clients_api.url}/v1", await make_key("personalize"))


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which of the two clients a test is about; it holds for both."""
    chosen: str = request.param
    return chosen


@pytest.fixture
async def bump(
    kind: str, clients_api: ApiProcess, make_key: ApiKeyMaker
) -> AsyncIterator[EitherClient]:
    """A client of the test's project with every scope, of the real API."""
    async with either_client(kind, clients_api.url, await make_key()) as client:
        yield client
