"""Every page, light, dark and narrow: accessible by axe, nothing out of the page, and a picture.

The pictures lie in `build/console/`, which git ignores.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from service.db import promotions
from service.db.promotions import PromotionDecision
from service.runtime import Runtime
from tests.console.browser import NARROW, WIDE, watched_page
from tests.console.conftest import OpenConsole, Project
from tests.console.people import ADA, move_in
from tests.histories import Sql

PICTURES = Path(__file__).parents[2] / "build/console"
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": WIDE, "color_scheme": "light"},
    "dark": {"viewport": WIDE, "color_scheme": "dark"},
    "narrow": {"viewport": NARROW, "color_scheme": "light"},
}
PAGES = {
    "overview": "#/overview",
    "users": "#/users",
    "user": f"#/users/{ADA}",
    "prompt": f"#/prompt?user={ADA}&version=2",
    "queue": "#/queue",
    "generators": "#/generators",
    "generator": "#/generators/night-1",
}
COMPARED = {"generator": None, "reward": 1.47, "mean": 0.042, "lower_bound": 0.012}
EVIDENCE = {
    "judge": "embedding",
    "users": 214,
    "alpha": 0.025,
    "tolerance": 0.02,
    "reward": 1.512,
    "against_serving": COMPARED,
    "against_best": COMPARED,
}


async def furnish(project: Project, runtime: Runtime, sql: Sql) -> None:
    """Users, some of whom are parked or paused, and a candidate that has passed the gate."""
    await move_in(project)
    client = project.client
    await client.put("/v1/users/carla-solo-cook/profiling", json={"profiling": "paused"})
    pinned = {"pinned": ["Is allergic to nuts."]}
    await client.put(f"/v1/users/{ADA}/profile/corrections", json=pinned)
    await project.written()
    await sql(
        "insert into regenerations (project_id, user_id, requested_revision, first_requested_at,"
        " last_requested_at, due_at, priority, attempts, last_error, parked_at) values"
        " (:project_id, 'ben-home-cook', 1, now(), now(), 'infinity', 1, 5, 'no answer', now())"
    )
    await client.post("/v1/generators/night-1/register", json={"artifact": "incoming"})
    async with runtime.database.transaction(project.project_id) as tx:
        await promotions.add(
            tx,
            actor="cli:ana",
            decision=PromotionDecision.PASSED,
            candidate="night-1",
            control=None,
            attempt=1,
            evidence=EVIDENCE,
        )
    promoted = await client.post("/v1/generators/night-1/promote", json={})
    assert promoted.status_code == 200, promoted.text


async def violations(page: Page) -> list[str]:
    found = (await Axe().run(page)).response["violations"]
    return [f"{rule['id']}: {node['html']}" for rule in found for node in rule["nodes"]]


async def test_every_page_is_accessible_and_fits_whatever_it_looks_like(
    open_console: OpenConsole, project: Project, runtime: Runtime, sql: Sql
) -> None:
    await furnish(project, runtime, sql)
    PICTURES.mkdir(parents=True, exist_ok=True)
    for look, options in LOOKS.items():
        async with open_console(**options) as page:
            for name, address in PAGES.items():
                await page.goto(f"/console{address}")
                await expect(page.locator("main h1")).to_be_focused()
                await page.evaluate("document.fonts.ready")
                await page.screenshot(path=PICTURES / f"{name}-{look}.png", full_page=True)
                assert await violations(page) == [], (name, look)
                width = await page.evaluate("document.documentElement.scrollWidth")
                assert width == options["viewport"]["width"], (name, look)


@pytest.fixture
async def stranger(browser: Browser, project: Project) -> AsyncIterator[Page]:
    """Somebody who has not signed in."""
    async with watched_page(browser, project.url) as (page, _):
        yield page


async def test_the_first_page_is_accessible(stranger: Page) -> None:
    await stranger.goto("/console")
    await expect(stranger.get_by_label("API key")).to_be_focused()
    PICTURES.mkdir(parents=True, exist_ok=True)
    await stranger.screenshot(path=PICTURES / "sign-in.png")
    assert await violations(stranger) == []


async def test_dialogs_and_empty_pages_are_accessible(
    open_console: OpenConsole, project: Project
) -> None:
    await project.post([{"user_id": "ana", "event_id": "1", "text": "Hi."}])
    async with open_console() as page:
        for address in ("#/overview", "#/queue", "#/generators", "#/prompt", "#/users/ana"):
            await page.goto(f"/console{address}")
            await expect(page.locator("main h1")).to_be_focused()
            assert await violations(page) == [], address
        await page.get_by_role("button", name="Erase …").click()
        await expect(page.get_by_role("dialog")).to_be_visible()
        assert await violations(page) == []


async def test_the_theme_that_was_chosen_stays(page: Page) -> None:
    await page.get_by_label("Theme").select_option("dark")
    await page.reload()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    ground = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(18, 19, 22)"
