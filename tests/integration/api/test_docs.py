"""`/docs` comes whole from this server: it works without the internet, and no third party hears."""

import re

import httpx2

from tests.integration.api.calls import problem


async def test_the_page_loads_everything_from_this_server(client: httpx2.AsyncClient) -> None:
    page = await client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert {path.rpartition("/")[2] for path in loaded} >= {
        "swagger-ui-bundle.js",
        "swagger-ui.css",
    }
    for path in loaded:
        assert re.match("/[^/]", path), path
        assert (await client.get(path)).status_code == 200, path
    assert "url: '/openapi.json'" in page.text


async def test_the_browser_is_told_to_ask_nobody_else(client: httpx2.AsyncClient) -> None:
    policy = (await client.get("/docs")).headers["content-security-policy"]
    assert policy.startswith("default-src 'self'")
    assert "http" not in policy and "*" not in policy


async def test_nothing_but_the_assets_is_served(client: httpx2.AsyncClient) -> None:
    for path in ("/docs/assets/%2e%2e/core.py", "/docs/assets/..%2fcore.py", "/docs/assets/"):
        problem(await client.get(path), 404, "not-found")
    problem(await client.post("/docs/assets/swagger-ui.css"), 405, "method-not-allowed")
