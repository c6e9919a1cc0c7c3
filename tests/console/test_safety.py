"""What the console gives nobody: the key, a script in somebody's words, another site's wish."""

import httpx2
import pytest
from playwright.async_api import Browser, Page, expect

from service.commands.keys import create_key, revoke_key
from service.config import Settings
from service.db.projects import Scope
from tests.console.browser import watched_page
from tests.console.conftest import OpenConsole, Project, check, sign_in
from tests.histories import Sql

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
STATEMENT = """
insert into profiles (project_id, user_id, version, revision, generator, text, statements, tokens,
                      status, origin)
values (:project_id, :user_id, 1, 1, :hostile, :hostile, jsonb_build_array(jsonb_build_object(
    'id', '0123456789ab', 'kind', 'interest', 'text', cast(:hostile as text),
    'evidence', jsonb_build_array(jsonb_build_object('source', 'api', 'event_id', 'e1'))
)), 1, 'serving', 'generated')
"""


async def test_what_users_and_profiles_say_is_text(
    open_console: OpenConsole, project: Project, sql: Sql
) -> None:
    user_id = HOSTILE.replace("/", "|")  # no id holds a slash
    await project.post([{"user_id": user_id, "event_id": "e1", "type": "<b>", "text": HOSTILE}])
    await sql(STATEMENT, user_id=user_id, hostile=HOSTILE)
    async with open_console("#/users") as page:
        await page.get_by_role("link", name=user_id).click()
        await expect(page.get_by_role("heading", level=1)).to_have_text(user_id)
        await expect(page.locator(".statement > p")).to_have_text(HOSTILE)
        await expect(page.get_by_role("region", name="Evidence").locator("p")).to_have_text(HOSTILE)
        await page.get_by_role("link", name="Try a prompt").click()
        await page.get_by_role("button", name="Show the prompt").click()
        await expect(page.get_by_role("region", name="Prompt")).to_be_visible()
        assert await page.locator("main img, main script, main b").count() == 0
        assert "owned" not in await page.title()


async def test_a_string_cannot_become_markup(open_console: OpenConsole) -> None:
    async with open_console(refusals=1) as page:
        refused = await page.evaluate(
            "() => { try { document.body.innerHTML = '<p>'; }"
            " catch (error) { return error.name; } }"
        )
        assert refused == "TypeError"


async def test_the_key_is_in_no_cookie_and_is_forgotten_with_the_tab(
    page: Page, project: Project
) -> None:
    assert await page.context.cookies() == []
    kept = await page.evaluate("JSON.stringify(localStorage) + location.href + document.cookie")
    assert project.key not in kept
    other = await page.context.new_page()
    await other.goto("/console")
    await expect(other.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_a_key_without_the_scope_is_told_which_it_needs(
    browser: Browser, project: Project, settings: Settings
) -> None:
    key = await create_key(settings, project.project_id, "reader", [Scope.READ], None)
    async with watched_page(browser, project.url) as (page, watched):
        await page.goto("/console")
        await page.get_by_label("API key").fill(key)
        await page.get_by_role("button", name="Sign in").click()
        refusal = page.get_by_role("main").get_by_role("alert")
        await expect(refusal).to_contain_text("lacks the scope 'admin'")
        check(watched, refusals=1)


async def test_a_revoked_key_ends_the_visit(
    browser: Browser, project: Project, settings: Settings
) -> None:
    async with watched_page(browser, project.url) as (page, watched):
        await page.goto("/console#/queue")
        await sign_in(page, project.key)
        await revoke_key(settings, project.project_id, project.key.split("_")[1])
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert await page.evaluate("sessionStorage.length") == 0
        assert watched.elsewhere == []


async def test_everything_can_be_reached_by_keyboard(page: Page) -> None:
    await page.goto("/console#/users")
    await expect(page.get_by_role("heading", name="Users", level=1)).to_be_focused()
    # Backwards over all pages to the very first link, and with it past them again.
    skip = page.get_by_role("link", name="Skip to the page")
    assert await page.locator("a, button, input, select").first.text_content() == "Skip to the page"
    for _ in range(8):
        if await skip.evaluate("link => link === document.activeElement"):
            break
        await page.keyboard.press("Shift+Tab")
    await expect(skip).to_be_focused()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await expect(page.get_by_label("Id begins with")).to_be_focused()


@pytest.fixture
async def anybody(project: Project) -> httpx2.AsyncClient:
    """The project's client without its key."""
    del project.client.headers["Authorization"]
    return project.client


@pytest.mark.parametrize(
    "path", ["/console", "/console/js/main.js", "/console/css/theme.css", "/console/entry"]
)
async def test_every_file_comes_with_strict_headers(anybody: httpx2.AsyncClient, path: str) -> None:
    response = await anybody.get(path)
    assert response.status_code == 200
    policy = dict(
        part.strip().split(" ", 1)
        for part in response.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "connect-src")} == {"'self'"}
    assert {policy[n] for n in ("form-action", "frame-ancestors", "base-uri")} == {"'none'"}
    assert "unsafe" not in str(policy) and "http" not in str(policy)
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in response.headers


async def test_no_other_file_is_served(anybody: httpx2.AsyncClient) -> None:
    for path in ("js/..%2f..%2f__init__.py", "%2e%2e/__init__.py", "js/", "nothing.js"):
        assert (await anybody.get(f"/console/{path}")).status_code == 404, path
