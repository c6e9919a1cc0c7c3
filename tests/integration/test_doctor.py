"""`bump doctor`: what it finds on real servers, and what it says to do."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner

from service.__main__ import app
from service.cache.server import CacheServer
from service.commands.doctor import (
    cache_server_finding,
    clock_finding,
    examine,
    misspelt,
    queue_finding,
    server_finding,
)
from service.commands.doctor_finding import Finding
from service.db.regenerations import Backlog
from service.db.server import ServerFacts, outdated_schema
from service.embedded import EmbeddedServers
from tests.conftest import ApiKeyMaker

NOBODY = "127.0.0.1:1"
NOW = datetime(2026, 11, 23, tzinfo=UTC)
Configure = Callable[..., None]


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch, servers: EmbeddedServers) -> Configure:
    """`configure(redis_url="…")`: an environment with these settings, on the session's servers."""

    def set_all(**settings: str) -> None:
        known = {"database_url": servers.app_url, "redis_url": servers.redis_url}
        for name, value in (known | settings).items():
            monkeypatch.setenv(f"BUMP_{name.upper()}", value)

    set_all()
    return set_all


async def findings() -> dict[str, Finding]:
    """What is found, by check."""
    return {finding.check: finding async for finding in examine(None)}


class Models(BaseHTTPRequestHandler):
    """`/v1/models` for those who have the key; `/bare` knows no such route."""

    def do_GET(self) -> None:
        if self.path != "/v1/models":
            self._answer(404, {"detail": "Not Found"})
        elif self.headers["Authorization"] != "Bearer right":
            self._answer(401, {"error": {"message": "no"}})
        else:
            self._answer(200, {"data": [{"id": "qwen"}]})

    def _answer(self, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def models() -> Iterator[str]:
    with serving(Models) as url:
        yield url


async def test_where_all_is_well_every_check_says_so(
    configure: Configure, make_key: ApiKeyMaker
) -> None:
    await make_key()
    found = await findings()
    assert found.keys() == {
        *("configuration", "database", "clock", "migrations", "keys", "queue", "redis"),
        *("generator", "judge", "downstream"),
    }
    # Other tests share the queue, and may have left something in it.
    del found["queue"]
    assert {finding.state for finding in found.values()} == {"ok"}


async def test_a_database_that_does_not_answer_is_named_without_its_password(
    configure: Configure,
) -> None:
    configure(database_url=f"postgresql+asyncpg://bump:hush@{NOBODY}/bump")
    found = await findings()
    assert found["database"].state == "error"
    assert NOBODY in found["database"].found
    assert "BUMP_DATABASE_URL" in found["database"].advice
    assert "hush" not in str(found)


async def test_what_needs_the_database_is_not_looked_at_without_it(configure: Configure) -> None:
    configure(database_url=f"postgresql+asyncpg://bump:hush@{NOBODY}/bump")
    assert not {"migrations", "keys", "queue", "clock"} & (await findings()).keys()


async def test_a_password_that_postgres_refuses(
    configure: Configure, servers: EmbeddedServers
) -> None:
    configure(database_url=servers.app_url.replace("@", "x@"))
    assert "refuses the connection" in (await findings())["database"].found


async def test_without_a_database_it_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("BUMP_DATABASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    found = {finding.check: finding async for finding in examine(tmp_path)}
    assert "`bump up`" in found["configuration"].advice


async def test_a_setting_that_cannot_be_read_is_named(configure: Configure) -> None:
    configure(lease="soon")
    (found,) = (await findings()).values()
    assert found.found.startswith("BUMP_LEASE: ")


def test_a_misspelt_variable_is_found_and_others_are_nobodys_business() -> None:
    (found,) = misspelt(["BUMP_DEBOUNC", "BUMP_DEBOUNCE", "BUMP_PORT_8000_TCP_ADDR", "PATH"])
    assert (found.found, found.advice) == (
        "Nothing reads BUMP_DEBOUNC.",
        "Did you mean BUMP_DEBOUNCE?",
    )


def facts(**changes: object) -> ServerFacts:
    known = {"synchronous_commit": "on", "bypasses": False, "clock": NOW, "schema": "0008"}
    return ServerFacts(version="18.1", **(known | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("broken", [{"synchronous_commit": "off"}, {"bypasses": True}])
def test_a_server_that_would_break_a_promise_is_an_error(broken: dict[str, object]) -> None:
    assert server_finding(facts(**broken)).state == "error"


def test_a_schema_that_is_too_old_is_to_be_migrated_and_a_newer_one_is_fine() -> None:
    assert "`bump migrate`" in str(outdated_schema(facts(schema="0007"), "0008"))
    assert "at nothing" in str(outdated_schema(facts(schema=""), "0008"))
    assert "no rights" in str(outdated_schema(facts(schema=None), "0008"))
    assert outdated_schema(facts(schema="0009"), "0008") is None


@pytest.mark.parametrize(("seconds", "side"), [(90, "behind"), (-90, "ahead of")])
def test_clocks_that_differ_are_named_with_their_sides(seconds: int, side: str) -> None:
    found = clock_finding(timedelta(seconds=seconds))
    assert (found.state, found.found) == (
        "warning",
        f"This machine's clock is 90 s {side} Postgres's.",
    )


@pytest.mark.parametrize(
    ("queue", "state", "word"),
    [
        (Backlog(waiting=3, parked=0, oldest_seconds=2), "ok", ""),
        (Backlog(waiting=3, parked=2, oldest_seconds=2), "warning", "requeue"),
        (Backlog(waiting=3, parked=2, oldest_seconds=900), "warning", "worker"),
    ],
)
def test_the_queue_tells_of_parked_jobs_and_missing_workers(
    queue: Backlog, state: str, word: str
) -> None:
    found = queue_finding(queue)
    assert found.state == state
    assert word in found.advice


@pytest.mark.parametrize(
    ("server", "state"),
    [
        (CacheServer("Valkey", "9.1.2", 0.001), "ok"),
        (CacheServer("Redis", "6.2.14", 0.001), "warning"),
        (CacheServer("Redis", "7.2.4", 0.2), "warning"),
    ],
)
def test_a_redis_that_is_old_or_far_away_is_a_warning(server: CacheServer, state: str) -> None:
    assert cache_server_finding(server, expected_seconds=0.05).state == state


async def test_a_redis_that_does_not_answer_or_refuses_the_password(
    configure: Configure, servers: EmbeddedServers
) -> None:
    configure(redis_url=f"redis://{NOBODY}")
    assert "does not answer" in (await findings())["redis"].found
    configure(redis_url=servers.redis_url.replace("@", "x@"))
    assert "refuses the password" in (await findings())["redis"].found


@pytest.mark.parametrize(
    ("path", "model", "key", "state", "word"),
    [
        ("/v1", "qwen", "right", "ok", ""),
        ("/v1", "qwen", "wrong", "error", "BUMP_DOWNSTREAM_API_KEY"),
        ("/v1", "llama", "right", "error", "it has qwen"),
        ("/bare", "qwen", "right", "warning", "/v1"),
    ],
)
async def test_an_endpoint_is_asked_for_its_models(
    configure: Configure, models: str, path: str, model: str, key: str, state: str, word: str
) -> None:
    configure(downstream_url=models + path, downstream_model=model, downstream_api_key=key)
    found = (await findings())["downstream"]
    assert found.state == state
    assert word in found.advice


async def test_each_model_that_is_needed_is_looked_at(configure: Configure) -> None:
    url = f"http://{NOBODY}/v1"
    configure(
        generator="llm", generator_url=url, generator_model="qwen",
        judge="listwise", judge_url=url, judge_model="qwen",
    )  # fmt: skip
    found = await findings()
    for check in ("generator", "judge"):
        assert (found[check].state, url in found[check].found) == ("error", True)


async def test_a_model_without_an_address_is_an_error(configure: Configure) -> None:
    configure(generator="llm", judge="listwise")
    found = await findings()
    assert "BUMP_GENERATOR_URL" in found["generator"].found
    assert "BUMP_JUDGE_URL" in found["judge"].found


def doctor(*options: Sequence[str]) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["doctor", *options])
    return result.exit_code, result.stdout


def test_the_exit_status_says_whether_it_works(configure: Configure) -> None:
    status, output = doctor("--json")
    assert (status, json.loads(output)["healthy"]) == (0, True)
    configure(redis_url=f"redis://{NOBODY}")
    status, output = doctor("--json")
    assert (status, json.loads(output)["healthy"]) == (1, False)


def test_people_read_a_line_each_and_what_to_do_below(configure: Configure) -> None:
    configure(redis_url=f"redis://{NOBODY}")
    _, output = doctor()
    lines = output.splitlines()
    row = next(number for number, line in enumerate(lines) if line.startswith("wrong  redis"))
    assert lines[row + 1].strip().startswith("Start it, or correct BUMP_REDIS_URL.")
