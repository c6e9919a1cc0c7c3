"""No log line carries what a user wrote, who it was, or a secret: read from real processes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from service.embedded import EmbeddedServers
from tests.conftest import ApiKeyMaker
from tests.faults.processes import ApiProcess, Processes, eventually, service_environment
from tests.integration.api.calls import event

CANARY = "canary"
USER = f"{CANARY}-user"
NOBODY_LISTENS = "http://127.0.0.1:1/v1"
FAILING_APPLICATION = """
import asyncio
from service.api.observation import Observation
from service.telemetry import configure_logging

async def application(scope, receive, send):
    cause = KeyError("canary-of-a-cause")
    raise ValueError("canary-of-a-message") from cause

async def send(message):
    pass

configure_logging("debug", "api")
scope = {"type": "http", "method": "GET", "path": "/v1/users/canary-user/profile"}
asyncio.run(Observation(application)(scope, None, send))
"""


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    started = Processes(tmp_path)
    yield started
    started.end()


@pytest.fixture
async def api(processes: Processes, servers: EmbeddedServers) -> ApiProcess:
    return await processes.start_api(
        service_environment(
            servers,
            log_level="debug",
            downstream_url=NOBODY_LISTENS,
            downstream_model="none",
            downstream_api_key=f"{CANARY}-downstream-key",
            downstream_timeout=5,
        )
    )


async def test_requests_good_and_bad_leave_no_trace_of_the_user_in_the_logs(
    api: ApiProcess, processes: Processes, servers: EmbeddedServers, make_key: ApiKeyMaker
) -> None:
    worker = await processes.start_worker(service_environment(servers, log_level="debug"))
    key = await make_key()
    async with httpx2.AsyncClient(
        base_url=api.url, headers={"Authorization": f"Bearer {key}"}, trust_env=False, timeout=30
    ) as client:
        await _use(client)
        await _misuse(client)
    api.terminate()
    worker.terminate()
    await api.exit_status()
    await worker.exit_status()
    logs = api.log() + worker.log()
    for secret in (CANARY, key.split("_")[2], *_passwords(servers)):
        assert secret not in logs


def test_a_surprise_is_logged_by_type_and_place_without_its_message() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAILING_APPLICATION], capture_output=True, text=True, check=True
    )
    (line,) = done.stderr.splitlines()
    record = json.loads(line)
    assert (record["event"], record["level"]) == ("request_failed", "error")
    assert record["exception"] == "ValueError"
    assert any("application" in place for place in record["raised_at"])
    assert CANARY not in done.stdout + done.stderr


async def test_every_log_line_is_json_and_names_its_process(
    processes: Processes, servers: EmbeddedServers
) -> None:
    environment = service_environment(servers) | {"BUMP_REDIS_URL": "redis://127.0.0.1:1/0"}
    api = await processes.start_api(environment)
    records = [json.loads(line) for line in api.log().splitlines()]
    assert "cache_unavailable" in {record["event"] for record in records}
    for record in records:
        assert record["process"] == "api"
        assert record["timestamp"] and record["level"]


async def _use(client: httpx2.AsyncClient) -> None:
    batch = [event(n, USER, text=f"{CANARY} text {n}") for n in range(6)]
    await client.post("/v1/interactions", json={"interactions": batch})
    profile = f"/v1/users/{USER}/profile"

    async def written() -> bool:
        return (await client.get(profile)).status_code == 200

    await eventually(written, 30)
    await client.put(f"{profile}/corrections", json={"pinned": [f"{CANARY} pinned"]})
    await client.get(f"/v1/users/{USER}/interactions")
    prompt = {"user_id": USER, "input": f"{CANARY} question"}
    assert (await client.post("/v1/personalize/prompt", json=prompt)).status_code == 200
    assert (await client.post("/v1/personalize", json=prompt)).status_code == 502
    assert (await client.post("/v1/personalize", json={**prompt, "stream": True})).is_error
    assert (await client.delete(f"/v1/users/{USER}")).status_code == 200


async def _misuse(client: httpx2.AsyncClient) -> None:
    json_type = {"Content-Type": "application/json"}
    broken = f'{{"user_id": "{USER}", "text": "{CANARY}'
    assert (await client.post("/v1/interactions", content=broken, headers=json_type)).is_error
    wrong = {"user_id": USER, "text": CANARY, "occurred_at": CANARY}
    assert (await client.post("/v1/interactions", json=wrong)).is_error
    assert (await client.get(f"/v1/users/{USER}/profile?min_revision={CANARY}")).is_error
    assert (await client.get(f"/v1/users/{USER}/interactions?cursor={CANARY}")).is_error
    unknown = {"Authorization": f"Bearer bump_0123456789_{CANARY}"}
    assert (await client.get(f"/v1/users/{USER}/profile", headers=unknown)).is_error
    assert (await client.get(f"/{CANARY}")).is_error


def _passwords(servers: EmbeddedServers) -> set[str]:
    urls = (servers.admin_url, servers.app_url, servers.redis_url)
    return {str(httpx2.URL(url).password) for url in urls}
