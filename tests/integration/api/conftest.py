"""A second project beside the test's own, applications with other settings, a real process."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI

from service.api.app import create_app
from service.commands.keys import create_key
from service.config import Settings
from service.db.projects import Scope
from service.embedded import EmbeddedServers
from tests.faults.processes import ApiProcess, Processes, service_environment

ClientWith = Callable[..., AbstractAsyncContextManager[httpx2.AsyncClient]]


@pytest.fixture
async def other_client(app: FastAPI, settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of another project, with every scope."""
    key = await create_key(settings, f"other-{uuid4().hex[:12]}", "test", list(Scope), None)
    async with _client(app, key) as client:
        yield client


@pytest.fixture
def client_with(settings: Settings, client: httpx2.AsyncClient) -> ClientWith:
    """`client_with(redis_url=…)`: the test's client, of an application with other settings."""

    @asynccontextmanager
    async def open_client(**changes: object) -> AsyncIterator[httpx2.AsyncClient]:
        app = create_app(settings.model_copy(update=changes))
        async with app.router.lifespan_context(app):
            key = client.headers["Authorization"].removeprefix("Bearer ")
            async with _client(app, key) as other:
                yield other

    return open_client


@pytest.fixture(scope="module")
def module_processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    started = Processes(tmp_path_factory.mktemp("logs"))
    yield started
    started.end()


@pytest.fixture(scope="module")
async def api(
    module_processes: Processes, servers: EmbeddedServers, settings: Settings
) -> ApiProcess:
    """An API process on the session's migrated servers."""
    return await module_processes.start_api(service_environment(servers, log_level="debug"))


def _client(app: FastAPI, key: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app, raise_app_exceptions=False),
        base_url="http://bump.test",
        headers={"Authorization": f"Bearer {key}"},
    )
