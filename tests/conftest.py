"""One real Postgres and one real Valkey for the whole session; a project of its own per test.

Row-level security keeps the projects apart, so tests share the servers without cleaning up.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from service import embedded
from service.api.app import create_app
from service.commands.keys import create_key
from service.commands.migrate import migrate
from service.config import Settings
from service.db.projects import Scope
from service.flows.keep_profile import Drift
from service.flows.project_generators import Loader
from service.flows.score_profile import Scoring
from service.flows.watch_deployment import DeploymentWatch
from service.generators.generator import Generator
from service.runtime import Runtime, open_generator, open_runtime, open_scoring
from service.worker import Worker, WorkerPolicy
from tests.embedded_stacks import open_directory
from tests.vllm_server import VllmServer, vllm_server, vllm_unavailable_reason


@pytest.fixture(autouse=True)
def training_libraries(request: pytest.FixtureRequest) -> None:
    """Skips what is marked `train` or `ray` without torch or Ray; fails if BUMP_REQUIRE_TRAIN=1."""
    needed = {"train": "torch", "ray": "ray"}
    marked = [needed[name] for name in needed if request.node.get_closest_marker(name)]
    missing = [library for library in marked if find_spec(library) is None]
    if not missing:
        return
    reason = f"{missing[0]} is not installed: run `make install-train`"
    if os.environ.get("BUMP_REQUIRE_TRAIN") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def vllm(vllm_process: VllmServer) -> str:
    """Base URL of the real vLLM server."""
    return vllm_process.url


@pytest.fixture(scope="session")
def vllm_installed() -> None:
    """Skips where no vLLM server can run; fails if BUMP_REQUIRE_VLLM=1."""
    if reason := vllm_unavailable_reason():
        if os.environ.get("BUMP_REQUIRE_VLLM") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def vllm_process(vllm_installed: None) -> Iterator[VllmServer]:
    """A real vLLM server; whoever kills it starts it again."""
    with vllm_server() as server:
        yield server


@pytest.fixture(scope="session")
def servers() -> Iterator[embedded.EmbeddedServers]:
    with open_directory() as directory, embedded.start(directory / "bump") as stack:
        yield stack.servers


@pytest.fixture(scope="session")
def settings(servers: embedded.EmbeddedServers) -> Settings:
    """Settings for a migrated database, without debounce, so that a worker acts at once."""
    migrate(servers.admin_url, servers.app_url)
    return Settings(
        _env_file=None,
        database_url=SecretStr(servers.app_url),
        database_admin_url=SecretStr(servers.admin_url),
        redis_url=SecretStr(servers.redis_url),
        # CI machines stall now and then; what a stalled cache costs has tests of its own.
        redis_timeout=1.0,
        debounce=0,
        max_delay=0,
        key_cache_ttl=0.05,
    )


@pytest.fixture(scope="session")
async def runtime(settings: Settings) -> AsyncIterator[Runtime]:
    runtime = await open_runtime(settings)
    yield runtime
    await runtime.close()


@pytest.fixture
def project_id() -> str:
    return f"p-{uuid4().hex[:12]}"


@pytest.fixture
def worker(runtime: Runtime) -> Worker:
    """A worker that tests step by hand with `run_once`."""
    return make_worker(runtime)


@asynccontextmanager
async def working(worker: Worker) -> AsyncIterator[None]:
    """The worker takes up whatever is due as long as the block lasts, and never again."""
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(stop))
    try:
        yield
    finally:
        stop.set()
        await running


def make_worker(
    runtime: Runtime,
    generator: Generator | None = None,
    *,
    scoring: Scoring | None = None,
    loader: Loader | None = None,
    watch: DeploymentWatch | None = None,
    **policy: float | Drift,
) -> Worker:
    """A worker with short times; where nothing else is said, with what the settings name."""
    defaults = {
        "batch": 50,
        "concurrency": 4,
        "poll": 0.02,
        "lease": 30.0,
        "generation_timeout": 60.0,
        "debounce": 0.0,
        "max_delay": 0.0,
        "max_attempts": 5,
        "backoff": 0.01,
        "history_limit": 200,
        "drain_timeout": 10.0,
    }
    return Worker(
        runtime.database,
        runtime.cache,
        generator or open_generator(runtime.settings),
        WorkerPolicy(**{**defaults, **policy}),  # type: ignore[arg-type]
        scoring=scoring or open_scoring(runtime.settings),
        loader=loader,
        watch=watch,
    )


@pytest.fixture(scope="session")
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield app


ApiKeyMaker = Callable[..., Awaitable[str]]


@pytest.fixture
def make_key(settings: Settings, project_id: str) -> ApiKeyMaker:
    """Makes keys of the test's project: `await make_key("read", "ingest")`; none: every scope."""

    async def make(*scopes: str, days: float | None = None) -> str:
        chosen = [Scope(scope) for scope in scopes] or list(Scope)
        return await create_key(settings, project_id, "test", chosen, days)

    return make


@pytest.fixture
async def client(app: FastAPI, make_key: ApiKeyMaker) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the test's project with every scope, straight into the application."""
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app, raise_app_exceptions=False),
        base_url="http://bump.test",
        headers={"Authorization": f"Bearer {await make_key()}"},
    ) as client:
        yield client
