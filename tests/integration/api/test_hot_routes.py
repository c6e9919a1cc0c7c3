"""The calls of every turn are answered ahead of FastAPI, and just as FastAPI answers them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest
from fastapi import FastAPI

from service.api.hot_routes import PROFILE_PATH, PROMPT_PATH
from service.worker import Worker
from tests.integration.api.calls import write_profile

PROFILE = PROFILE_PATH.replace("{user_id}", "ana")
JSON = {"Content-Type": "application/json"}
NO_KEY = {"Authorization": ""}
QUESTION = {"user_id": "ana", "input": "What shall I bake?"}
# Any query parameter, and any body longer than this, is FastAPI's.
PADDING = b" " * 64_001


@pytest.fixture
async def profile(client: httpx2.AsyncClient, worker: Worker, quiet_queue: None) -> None:
    await write_profile(client, worker)


@contextmanager
def without_fastapi(app: FastAPI) -> Iterator[None]:
    behind = app.router.routes[:]
    app.router.routes.clear()
    try:
        yield
    finally:
        app.router.routes.extend(behind)


def assert_same(hot: httpx2.Response, documented: httpx2.Response) -> None:
    assert hot.status_code == documented.status_code
    assert hot.content == documented.content
    assert dict(hot.headers) == dict(documented.headers)


@pytest.mark.usefixtures("profile")
class TestProfile:
    @pytest.mark.parametrize("headers", [{}, {"If-None-Match": "*"}, NO_KEY])
    async def test_is_what_fastapi_answers(
        self, headers: dict[str, str], app: FastAPI, client: httpx2.AsyncClient
    ) -> None:
        with without_fastapi(app):
            hot = await client.get(PROFILE, headers=headers)
        assert_same(hot, await client.get(f"{PROFILE}?wait=0", headers=headers))

    async def test_of_an_unknown_user_too(self, app: FastAPI, client: httpx2.AsyncClient) -> None:
        unknown = PROFILE.replace("ana", "nobody")
        with without_fastapi(app):
            hot = await client.get(unknown)
        assert_same(hot, await client.get(f"{unknown}?wait=0"))


@pytest.mark.usefixtures("profile")
class TestPrompt:
    @pytest.mark.parametrize("headers", [{}, NO_KEY])
    @pytest.mark.parametrize("changes", [{}, {"user_id": "nobody"}, {"max_tokens": 99_999}])
    async def test_is_what_fastapi_answers(
        self,
        changes: dict[str, object],
        headers: dict[str, str],
        app: FastAPI,
        client: httpx2.AsyncClient,
    ) -> None:
        body = json.dumps(QUESTION | changes).encode()
        with without_fastapi(app):
            hot = await client.post(PROMPT_PATH, content=body, headers=JSON | headers)
        documented = await client.post(PROMPT_PATH, content=body + PADDING, headers=JSON | headers)
        assert_same(hot, documented)

    async def test_of_a_body_in_pieces_is_read_whole(self, client: httpx2.AsyncClient) -> None:
        body = json.dumps(QUESTION).encode()
        whole = await client.post(PROMPT_PATH, content=body, headers=JSON)

        async def pieces():  # type: ignore[no-untyped-def]
            for start in range(0, len(body), 7):
                yield body[start : start + 7]

        assert_same(await client.post(PROMPT_PATH, content=pieces(), headers=JSON), whole)
