"""`bump up`: everything on one machine, from the first start to every way of ending."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.embedded_stacks import command_line, open_directory, wait_until_gone
from tests.faults.processes import free_port
from tests.integration.api.calls import history
from tests.integration.up_process import ENVIRONMENT, Up, command, running

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def open_dir() -> Iterator[Path]:
    with open_directory() as directory:
        yield directory


@pytest.fixture(scope="module")
def shared(open_dir: Path) -> Iterator[Up]:
    """One that runs for all tests that only call it."""
    with running(open_dir / "shared") as up:
        yield up


@pytest.fixture
def data_dir(shared: Up, open_dir: Path, request: pytest.FixtureRequest) -> Path:
    """An empty place of the test's own, initialised after `shared` has shown that it works."""
    return open_dir / request.node.name


def written_profile(client: httpx2.Client, user_id: str) -> dict[str, object]:
    answer = client.post("/v1/interactions", json={"interactions": history(6, user_id)})
    assert answer.status_code == 200, answer.text
    path = f"/v1/users/{user_id}/profile"
    response = client.get(path, params={"min_revision": 1, "wait": 30})
    assert response.status_code == 200, response.text
    profile: dict[str, object] = response.json()
    return profile


def test_a_keyless_call_from_this_machine_is_served(shared: Up) -> None:
    response = shared.client.get("/v1/users/nobody/profile")
    assert response.json()["type"].endswith("/user-not-found")


def test_a_rebound_host_name_is_refused(shared: Up) -> None:
    response = shared.client.get("/v1/users/nobody/profile", headers={"Host": "evil.example"})
    assert response.status_code == 401


def test_interactions_become_a_profile_and_a_prompt(shared: Up) -> None:
    profile = written_profile(shared.client, "ana")
    body = {"user_id": "ana", "input": "What should I bake?"}
    prompt = shared.client.post("/v1/personalize/prompt", json=body).json()
    assert prompt["profile_version"] == profile["version"] == 1
    assert str(profile["text"]) in prompt["messages"][-1]["content"]


def test_bump_mini_answers_where_no_other_model_is_named(shared: Up) -> None:
    written_profile(shared.client, "ben")
    body = {"user_id": "ben", "input": "What should I bake?", "temperature": 0}
    tailored = shared.client.post("/v1/personalize", json=body).json()
    plain = shared.client.post("/v1/personalize", json={**body, "user_id": "nobody"}).json()
    assert tailored["model"] == plain["model"] == "bump-mini"
    assert tailored["finish_reason"] == plain["finish_reason"] == "stop"
    assert tailored["output"] != plain["output"]


def test_it_says_where_it_listens_and_who_answers(shared: Up) -> None:
    said = shared.log.read_text()
    assert f"http://{shared.client.base_url.netloc.decode()}" in said
    assert "bump-mini answers at /v1/personalize" in said
    assert "Ctrl-C stops everything." in said


def test_other_commands_find_its_servers(shared: Up, open_dir: Path) -> None:
    done = subprocess.run(
        [*command(open_dir / "shared", 1)[:3], "regenerations", "explain", "nobody"],
        env={**ENVIRONMENT, "BUMP_DATA_DIR": str(open_dir / "shared")},
        cwd="/",
        capture_output=True,
    )
    assert done.stdout.startswith(b"unknown: ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_everything_and_nothing_remains(
    data_dir: Path, number: signal.Signals
) -> None:
    with running(data_dir) as up:
        pids = up.descendants()
        assert len(pids) >= 4
        up.process.send_signal(number)
        assert up.process.wait(60) == 0
        assert not [pid for pid in pids if command_line(pid)]
        assert "Traceback" not in up.log.read_text()


def test_after_kill_9_nothing_remains_and_the_next_start_has_the_data(data_dir: Path) -> None:
    with running(data_dir) as up:
        profile = written_profile(up.client, "ana")
        pids = up.descendants()
        up.process.kill()
        up.process.wait()
        wait_until_gone(*pids)
    with running(data_dir) as up:
        assert up.client.get("/v1/users/ana/profile").json() == profile
        assert len(up.client.get("/v1/users/ana/interactions").json()["interactions"]) == 6


def test_when_a_part_dies_the_rest_ends_with_a_reason(data_dir: Path) -> None:
    with running(data_dir) as up:
        pids = up.descendants()
        (worker,) = [pid for pid in pids if command_line(pid).endswith(b"\0worker\0")]
        os.kill(worker, signal.SIGKILL)
        assert up.process.wait(60) == 2
        assert "A part of Bump has ended by itself: the worker" in up.log.read_text()
        assert not [pid for pid in pids if command_line(pid)]


@pytest.mark.parametrize(
    ("server", "title"),
    [("valkey", b"valkey-server "), ("postgres", b"\0-D\0")],
    ids=["valkey", "postgres"],
)
def test_when_a_server_dies_the_rest_ends_and_names_it(
    data_dir: Path, server: str, title: bytes
) -> None:
    with running(data_dir) as up:
        pids = up.descendants()
        (killed,) = [pid for pid in pids if title in command_line(pid)]
        os.kill(killed, signal.SIGKILL)
        assert up.process.wait(60) == 2
        said = up.log.read_text()
        assert f"A part of Bump has ended by itself: {server}" in said
        assert f"{server}.log" in said
        wait_until_gone(*pids)


def test_other_machines_are_not_served_without_a_key(data_dir: Path) -> None:
    done = subprocess.run(
        command(data_dir, free_port(), "--host", "0.0.0.0"),
        env=ENVIRONMENT,
        cwd="/",
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 2
    said = done.stderr.decode()
    assert "bump keys create" in said
    assert "Traceback" not in said


def test_top_watches_it_without_being_told_where_it_is(shared: Up, open_dir: Path) -> None:
    written_profile(shared.client, "top")
    done = subprocess.run(
        [sys.executable, "-m", "service", "top", "--once", "--json", "--interval", "0.2"],
        env=ENVIRONMENT | {"BUMP_DATA_DIR": str(open_dir / "shared")},
        capture_output=True,
        cwd="/",
        timeout=60,
    )
    found = json.loads(done.stdout)
    assert (done.returncode, found["silent"]) == (0, [])
    assert found["median_lag"] is not None
