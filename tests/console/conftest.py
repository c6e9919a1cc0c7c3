"""A real API and worker, a project with histories, and a person's browser in front of them."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from playwright.async_api import Browser, Page, async_playwright, expect
from sqlalchemy import text

from benchmarks.chat_model import application
from service.api.app import create_app
from service.commands.keys import create_key
from service.config import Settings
from service.db.projects import Scope
from service.generators.extractive.artifact import write_policy
from service.generators.extractive.weights import UNTRAINED
from service.runtime import GeneratorLoader, Runtime
from tests.conftest import make_worker, working
from tests.console.browser import NO_BROWSER, Watched, chromium, launch, watched_page
from tests.console.serving import served
from tests.faults.processes import eventually
from tests.histories import Sql

MODEL = "tiny"


@dataclass(frozen=True, slots=True)
class Project:
    """A project of its own, its admin key, and a client with it."""

    project_id: str
    key: str
    url: str
    client: httpx2.AsyncClient

    async def written(self) -> None:
        """Wait until the worker has nothing left to do here."""

        async def idle() -> bool:
            freshness = (await self.client.get("/v1/project/activity")).json()["freshness"]
            return bool(freshness["waiting"] + freshness["running"] == 0)

        await eventually(idle, 60)

    async def post(self, interactions: list[dict[str, Any]]) -> None:
        response = await self.client.post("/v1/interactions", json={"interactions": interactions})
        assert response.json()["rejected"] == 0, response.text
        await self.written()


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Skips where there is none, fails if BUMP_REQUIRE_BROWSER=1."""
    path = chromium()
    if path is None:
        if os.environ.get("BUMP_REQUIRE_BROWSER") == "1":
            pytest.fail(NO_BROWSER)
        pytest.skip(NO_BROWSER)
    async with async_playwright() as playwright:
        browser = await launch(playwright, path)
        yield browser
        await browser.close()


@pytest.fixture(scope="module")
def artifact_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a policy that somebody has put there."""
    store = tmp_path_factory.mktemp("store")
    write_policy(store / "incoming", UNTRAINED)
    return store


@pytest.fixture(scope="module")
async def console_url(
    browser: Browser,  # first: without one, nothing needs to start
    runtime: Runtime,
    artifact_store: Path,
) -> AsyncIterator[str]:
    """A server with a worker beside it and a model behind it."""
    async with served(application) as model_url:
        settings = runtime.settings.model_copy(
            update={
                "downstream_url": f"{model_url}/v1",
                "downstream_model": MODEL,
                "artifact_store": artifact_store,
            }
        )
        app = create_app(settings)
        async with (
            app.router.lifespan_context(app),
            served(app) as url,
            working(make_worker(runtime, loader=GeneratorLoader(settings))),
        ):
            yield url


@pytest.fixture
async def project(console_url: str, settings: Settings) -> AsyncIterator[Project]:
    project_id = f"p-{uuid4().hex[:12]}"
    key = await create_key(settings, project_id, "console", list(Scope), None)
    async with httpx2.AsyncClient(
        base_url=console_url,
        headers={"Authorization": f"Bearer {key}"},
        trust_env=False,
        timeout=60,
    ) as client:
        yield Project(project_id, key, console_url, client)


@pytest.fixture
def sql(runtime: Runtime, project: Project) -> Sql:
    """Runs one statement in the console's project, with `:project_id` bound."""

    async def run(statement: str, **parameters: Any) -> Any:
        async with runtime.database.transaction(project.project_id) as tx:
            result = await tx.execute(text(statement), **parameters)
            return result.all() if result.returns_rows else []

    return run


OpenConsole = Callable[..., AbstractAsyncContextManager[Page]]


@pytest.fixture
def open_console(browser: Browser, project: Project) -> OpenConsole:
    """A signed-in page at an address of the console; it must end without an error.

    `refusals`: how many refused calls and assignments the browser's log may hold.
    """

    @asynccontextmanager
    async def opened(
        address: str = "#/overview", *, refusals: int = 0, **options: Any
    ) -> AsyncIterator[Page]:
        async with watched_page(browser, project.url, **options) as (page, watched):
            await page.goto(f"/console{address}")
            await sign_in(page, project.key)
            yield page
            check(watched, refusals)

    return opened


async def sign_in(page: Page, key: str) -> None:
    await page.get_by_label("API key").fill(key)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("navigation", name="Pages")).to_be_visible()
    await expect(page.locator("main h1")).to_be_visible()


_REFUSALS = ("the server responded with a status", "requires 'TrustedHTML' assignment")


def check(watched: Watched, refusals: int = 0) -> None:
    assert watched.elsewhere == []
    refused = [error for error in watched.errors if any(words in error for words in _REFUSALS)]
    assert [error for error in watched.errors if error not in refused] == []
    assert len(refused) == refusals, refused


@pytest.fixture
async def page(open_console: OpenConsole) -> AsyncIterator[Page]:
    async with open_console() as page:
        yield page
