"""A second project beside the test's own, and applications with other settings."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI

from service.api.app import create_app
from service.commands.keys import create_key
from service.config import Settings
from service.db.projects import Scope

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


def _client(app: FastAPI, key: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app, raise_app_exceptions=False),
        base_url="http://bump.test",
        headers={"Authorization": f"Bearer {key}"},
    )
