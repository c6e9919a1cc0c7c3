"""Log lines are JSON, name their process, and say where something was raised, not what it said."""

import json
import subprocess
import sys
from typing import Any

import pytest

from service.embedded import EmbeddedServers
from tests.faults.processes import Processes, service_environment

CANARY = "canary"
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
FORGOTTEN_TASK = """
import asyncio
from service.telemetry import configure_logging

async def fail():
    raise ValueError("canary-of-a-message")

async def main():
    task = asyncio.create_task(fail())
    await asyncio.sleep(0)
    del task

configure_logging("debug", "api")
asyncio.run(main())
"""


def test_a_surprise_is_logged_by_type_and_place_without_its_message() -> None:
    record = only_record(FAILING_APPLICATION)
    assert (record["event"], record["level"]) == ("request_failed", "error")
    assert record["exception"] == "ValueError"
    assert any("application" in place for place in record["raised_at"])


def test_so_is_one_in_a_task_that_nobody_waits_for() -> None:
    record = only_record(FORGOTTEN_TASK)
    assert (record["event"], record["level"]) == ("Task exception was never retrieved", "error")
    assert record["exception"] == "ValueError"
    assert any("fail" in place for place in record["raised_at"])


def only_record(program: str) -> dict[str, Any]:
    """The one line that the program logs; the canary is in nothing that it writes."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert CANARY not in done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    record: dict[str, Any] = json.loads(line)
    return record


@pytest.mark.usefixtures("settings")  # for a schema
async def test_every_log_line_is_json_and_names_its_process(
    module_processes: Processes, servers: EmbeddedServers
) -> None:
    environment = service_environment(servers) | {"BUMP_REDIS_URL": "redis://127.0.0.1:1/0"}
    api = await module_processes.start_api(environment)
    records = [json.loads(line) for line in api.log().splitlines()]
    assert "cache_unavailable" in {record["event"] for record in records}
    for record in records:
        assert record["process"] == "api"
        assert record["timestamp"] and record["level"]
