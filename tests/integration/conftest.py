"""What the integration tests share: ways to send events in, and a look at the rows behind."""

from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from sqlalchemy import text

from service.config import Settings
from service.db.claims import Job, claim
from service.db.interactions import NewInteraction, RegenerationPolicy
from service.db.session import Database, open_database
from service.flows.ingest import IngestResult, Rejection, ingest
from service.runtime import Runtime
from tests.histories import AT_ONCE, Add, ClaimNow, Sql


@pytest.fixture
def elsewhere() -> str:
    """Another project, which no other test uses."""
    return f"p-{uuid4().hex[:12]}"


@pytest.fixture
def add(runtime: Runtime, project_id: str) -> Add:
    """Sends a batch to the test's project; a user's first five events ask for a profile."""

    async def send(
        items: Sequence[NewInteraction | Rejection], policy: RegenerationPolicy = AT_ONCE
    ) -> IngestResult:
        return await ingest(runtime.database, runtime.cache, project_id, items, policy)

    return send


@pytest.fixture
def sql(runtime: Runtime, project_id: str) -> Sql:
    """Runs one statement in the test's project, with `:project_id` bound, and returns its rows."""

    async def run(statement: str, **parameters: Any) -> Sequence[Any]:
        async with runtime.database.transaction(project_id) as tx:
            result = await tx.execute(text(statement), **parameters)
            return result.all() if result.returns_rows else []

    return run


@pytest.fixture(scope="session")
async def owner(settings: Settings) -> AsyncIterator[Database]:
    """The database as the role that owns the tables and may act for all projects."""
    assert settings.database_admin_url
    database = open_database(settings.database_admin_url.get_secret_value(), pool_size=4)
    yield database
    await database.close()


@pytest.fixture
async def quiet_queue(owner: Database) -> None:
    """Sets aside what other tests left to regenerate: a worker claims from every project."""
    async with owner.across_projects() as connection:
        await connection.execute(text("set local role bump_definer"))
        await connection.execute(
            text("update regenerations set due_at = 'infinity', parked_at = now()")
        )


@pytest.fixture
def claim_now(runtime: Runtime, quiet_queue: None) -> ClaimNow:
    """Claims what is due, for a long lease; debounce and max_delay only where they are given."""

    async def claim_due(**changes: Any) -> list[Job]:
        policy = {"limit": 10, "lease": 30.0, "debounce": 0.0, "max_delay": 0.0}
        return await claim(runtime.database, **{**policy, **changes})

    return claim_due


@pytest.fixture
async def redis(runtime: Runtime) -> AsyncIterator[Redis]:
    """The cache's server, behind the back of the cache."""
    assert runtime.settings.redis_url
    async with Redis.from_url(runtime.settings.redis_url.get_secret_value()) as client:
        yield client
