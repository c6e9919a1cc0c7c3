"""The command line as operators use it: real processes, their output and exit status."""

import gzip
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.commands.settings import read_settings
from service.config import Settings
from service.db import profiles, regenerations
from service.db.session import Transaction
from service.domain.profile import ProfileOrigin, ProfileStatus
from service.embedded import EmbeddedServers
from service.errors import ConfigurationError
from service.runtime import Runtime
from tests.faults.processes import service_environment
from tests.integration.api.calls import event, history

pytestmark = pytest.mark.slow

Done = subprocess.CompletedProcess[bytes]
Bump = Callable[..., Done]
StartBump = Callable[..., subprocess.Popen[bytes]]
NOBODY_LISTENS = "127.0.0.1:1"
COMMANDS = (
    *("up", "serve", "worker", "migrate", "import", "evaluate", "keys", "regenerations"),
    *("backfill", "generators"),
)


@pytest.fixture
def start_bump(settings: Settings, servers: EmbeddedServers, tmp_path: Path) -> StartBump:
    """`start_bump("import", "-", BUMP_X="y")` on the session's migrated servers."""
    known = service_environment(servers) | {
        "BUMP_DATABASE_ADMIN_URL": servers.admin_url,
        "BUMP_DATA_DIR": str(tmp_path / "data"),
    }

    def start(*arguments: str, **environment: str | None) -> subprocess.Popen[bytes]:
        merged = {**known, **environment}
        return subprocess.Popen(
            [sys.executable, "-m", "service", *arguments],
            cwd=tmp_path,
            env={name: value for name, value in merged.items() if value is not None},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    return start


@pytest.fixture
def bump(start_bump: StartBump) -> Bump:
    """The same until it has ended: `bump("import", "-", stdin=b"…")`."""

    def run(*arguments: str, stdin: bytes = b"", **environment: str | None) -> Done:
        with start_bump(*arguments, **environment) as process:
            stdout, stderr = process.communicate(stdin, timeout=60)
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)

    return run


@pytest.fixture
def history_file(tmp_path: Path) -> Path:
    path = tmp_path / "history.jsonl"
    path.write_bytes(as_lines(history(6) + history(6, "ben")))
    return path


def as_lines(events: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(sent).encode() + b"\n" for sent in events)


def summary(done: Done) -> dict[str, int]:
    counts: dict[str, int] = json.loads(done.stdout)
    return counts


def plain_error(done: Done) -> str:
    """What a failed command said: one sentence, no traceback, exit status 2."""
    said = done.stderr.decode()
    assert done.returncode == 2, said
    assert said.startswith("bump: ")
    assert "Traceback" not in said
    assert len(said.splitlines()) == 1
    assert done.stdout == b""
    return said


def wait_for_checkpoint(directory: Path) -> None:
    deadline = time.monotonic() + 30
    while not any(path.read_text() for path in directory.glob("import-*")):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_help_lists_every_command(bump: Bump) -> None:
    done = bump("--help")
    assert done.returncode == 0
    said = done.stdout.decode()
    assert all(f"  {command} " in said for command in COMMANDS)


def test_help_loads_nothing_heavy() -> None:
    program = "import sys, service.__main__; sys.stdout.write(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert "typer" in loaded
    assert not loaded & {"fastapi", "sqlalchemy", "redis", "numpy", "uvicorn", "httpx2", "pydantic"}


def test_migrating_again_changes_nothing(bump: Bump) -> None:
    done = bump("migrate")
    assert (done.returncode, done.stderr) == (0, b"The schema is up to date.\n")


def test_a_key_is_created_rotated_and_revoked_and_its_secret_shown_once(
    bump: Bump, project_id: str
) -> None:
    of_project = ("--project", project_id)
    created = bump("keys", "create", *of_project, "--scope", "read", "--days", "30")
    (old_key,) = created.stdout.decode().split()
    _, old, secret = old_key.split("_")
    rotated = bump("keys", "rotate", old, *of_project, "--json")
    new = json.loads(rotated.stdout)["key"].split("_")[1]
    assert bump("keys", "revoke", old, *of_project).returncode == 0
    listed = bump("keys", "list", *of_project, "--json").stdout.decode()
    assert secret not in listed
    keys = {key["prefix"]: key for key in json.loads(listed)}
    assert keys[new]["scopes"] == keys[old]["scopes"] == "read"
    assert keys[old]["expires_at"] and keys[old]["revoked_at"]
    assert keys[new]["revoked_at"] is None
    assert "no live key" in plain_error(bump("keys", "revoke", old, *of_project))


def test_keys_are_listed_in_a_table(bump: Bump, project_id: str) -> None:
    created = bump("keys", "create", "--project", project_id, "--name", "shop", "--json")
    _, prefix, secret = json.loads(created.stdout)["key"].split("_")
    table = bump("keys", "list", "--project", project_id, COLUMNS="200").stdout.decode()
    assert prefix in table
    assert "shop" in table
    assert secret not in table


def test_a_file_is_imported_and_its_gzip_again_is_all_duplicates(
    bump: Bump, history_file: Path, project_id: str
) -> None:
    packed = history_file.with_name("history.gz")
    packed.write_bytes(gzip.compress(history_file.read_bytes()))
    first, again = (
        bump("import", str(path), "--project", project_id, "--json")
        for path in (history_file, packed)
    )
    assert (first.returncode, again.returncode) == (0, 0)
    counts = {"lines": 12, "accepted": 12, "duplicates": 0, "rejected": 0, "users": 2}
    assert summary(first) == counts
    assert summary(again) == counts | {"accepted": 0, "duplicates": 12}


def test_standard_input_may_be_gzip_and_its_lines_without_ids_are_known_again(
    bump: Bump, project_id: str
) -> None:
    lines = as_lines([{"user_id": "ana", "text": f"Bread {n}."} for n in range(3)])
    command = ("import", "-", "--project", project_id, "--json")
    assert summary(bump(*command, stdin=gzip.compress(lines)))["accepted"] == 3
    assert summary(bump(*command, stdin=lines))["duplicates"] == 3


def test_rejected_lines_are_reported_by_number_and_exit_with_1(bump: Bump, project_id: str) -> None:
    lines = as_lines([event(1), event(2, occurred_at="yesterday"), event(3)]) + b"{broken\n"
    done = bump("import", "-", "--project", project_id, "--json", stdin=lines)
    assert done.returncode == 1
    assert summary(done) | {"users": 1} == {
        "lines": 4,
        "accepted": 2,
        "duplicates": 0,
        "rejected": 2,
        "users": 1,
    }
    said = done.stderr.decode()
    assert "line 2: occurred_at: " in said
    assert "line 4: line: not valid JSON" in said
    assert "yesterday" not in said


def test_the_queue_is_listed_explained_and_woken(bump: Bump, project_id: str) -> None:
    of_project = ("--project", project_id)
    bump("import", "-", *of_project, stdin=as_lines(history(6)), BUMP_DEBOUNCE="3600")
    (waiting,) = json.loads(bump("regenerations", "list", *of_project, "--json").stdout)
    assert (waiting["user_id"], waiting["requested_revision"]) == ("ana", 1)
    explained = json.loads(bump("regenerations", "explain", "ana", *of_project, "--json").stdout)
    assert explained["verdict"].startswith("waiting until ")
    assert (explained["revision"], explained["interactions"]) == (1, 6)
    requeued = bump("regenerations", "requeue", *of_project)
    assert requeued.stderr == b"0 regenerations asked for.\n"  # the only user is not parked


def test_the_queue_is_a_table_for_a_narrow_terminal(bump: Bump, project_id: str) -> None:
    of_project = ("--project", project_id)
    imported = bump("import", "-", *of_project, stdin=as_lines(history(6)), BUMP_DEBOUNCE="3600")
    assert f"bump regenerations list --project {project_id}" in imported.stderr.decode()
    table = bump("regenerations", "list", *of_project, COLUMNS="80").stdout.decode()
    header, row = (line for line in table.splitlines() if line[0] in "┃│")
    assert header.split()[1::2] == ["user_id", "state", "due", "attempts", "last_error"]
    assert row.split()[1:4:2] == ["ana", "waiting"]


def test_a_regeneration_is_explained_in_lines(bump: Bump, project_id: str) -> None:
    of_project = ("--project", project_id)
    bump("import", "-", *of_project, stdin=as_lines(history(6)), BUMP_DEBOUNCE="3600")
    said = bump("regenerations", "explain", "ana", *of_project).stdout.decode()
    assert re.search(r"^    due_at: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$", said, re.MULTILINE)
    assert "    last_error: none\n" in said
    assert "datetime" not in said


@pytest.mark.parametrize(
    ("status", "origin", "verdict"),
    [
        (ProfileStatus.SERVING, ProfileOrigin.ROLLED_BACK, "rolled back: version 2 says what was"),
        (ProfileStatus.QUARANTINED, ProfileOrigin.GENERATED, "quarantined: version 2 changed"),
        (ProfileStatus.SERVING, ProfileOrigin.EDITED, "behind: the profile has read revision 1"),
    ],
)
async def test_a_profile_that_is_behind_with_nothing_waiting_is_explained(
    runtime: Runtime,
    bump: Bump,
    project_id: str,
    status: ProfileStatus,
    origin: ProfileOrigin,
    verdict: str,
) -> None:
    of_project = ("--project", project_id)
    for lines in (history(6), [event(7)]):
        bump("import", "-", *of_project, stdin=as_lines(lines))
    async with runtime.database.transaction(project_id) as tx:
        await regenerations.delete(tx, "ana")
        await add_version(tx, ProfileStatus.SERVING, ProfileOrigin.GENERATED)
        await add_version(tx, status, origin)
    explained = bump("regenerations", "explain", "ana", *of_project).stdout.decode()
    assert explained.startswith(verdict)


async def add_version(tx: Transaction, status: ProfileStatus, origin: ProfileOrigin) -> None:
    await profiles.add_version(
        tx,
        "ana",
        statements=(),
        revision=1,
        generator="extractive",
        tokens=0,
        status=status,
        origin=origin,
    )


def test_an_unknown_user_is_explained_in_words(bump: Bump, project_id: str) -> None:
    done = bump("regenerations", "explain", "eve", "--project", project_id)
    assert done.stdout.startswith(b"unknown: no interaction of this user")


def test_an_import_that_was_killed_goes_on_where_it_was(
    bump: Bump, start_bump: StartBump, tmp_path: Path, project_id: str
) -> None:
    path = tmp_path / "long.jsonl"
    path.write_bytes(as_lines([event(n % 300, f"u{n // 300}") for n in range(30_000)]))
    command = ("import", str(path), "--project", project_id, "--json")
    with start_bump(*command) as importing:
        wait_for_checkpoint(tmp_path / "data" / "imports")
        importing.kill()
    resumed = summary(bump(*command))
    assert resumed["lines"] == 30_000
    assert resumed["accepted"] + resumed["duplicates"] < 30_000
    again = summary(bump(*command, "--from-start"))
    assert (again["accepted"], again["duplicates"]) == (0, 30_000)


def test_without_a_database_the_command_says_how_to_get_one(bump: Bump) -> None:
    done = bump("keys", "list", BUMP_DATABASE_URL=None, BUMP_DATABASE_ADMIN_URL=None)
    said = plain_error(done)
    assert "bump up" in said
    assert "--data-dir" in said


def test_without_the_owners_url_keys_name_the_setting(bump: Bump) -> None:
    done = bump("keys", "list", BUMP_DATABASE_ADMIN_URL=None)
    assert "BUMP_DATABASE_ADMIN_URL" in plain_error(done)


def test_a_server_that_does_not_answer_is_said_without_its_url(bump: Bump) -> None:
    url = f"postgresql+asyncpg://u:canary@{NOBODY_LISTENS}/bump"
    for command in (("regenerations", "list"), ("migrate",)):
        error = plain_error(bump(*command, BUMP_DATABASE_URL=url, BUMP_DATABASE_ADMIN_URL=url))
        assert "does not answer" in error, command
        assert "canary" not in error


def test_a_wrong_password_or_database_is_explained(bump: Bump, servers: EmbeddedServers) -> None:
    password = servers.app_url.split(":")[2].split("@")[0]
    wrong = servers.app_url.replace(password, "canary")
    error = plain_error(bump("regenerations", "list", BUMP_DATABASE_URL=wrong))
    assert "BUMP_DATABASE_URL" in error
    assert "canary" not in error
    missing = servers.admin_url.rpartition("/")[0] + "/nowhere"
    assert '"nowhere"' in plain_error(bump("migrate", BUMP_DATABASE_ADMIN_URL=missing))


def test_a_setting_that_cannot_be_is_an_error_of_the_operator(bump: Bump) -> None:
    said = plain_error(bump("regenerations", "list", BUMP_DATABASE_URL="postgresql://u:canary@h/b"))
    assert "BUMP_DATABASE_URL" in said
    assert "postgresql+asyncpg://" in said
    assert "canary" not in said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BUMP_DATABASE_URL", "canary"),
        ("BUMP_DATABASE_ADMIN_URL", "mysql://u:canary@127.0.0.1/bump"),
        ("BUMP_DATABASE_URL", "postgresql+asyncpg://bump@canary:port/bump"),
        ("BUMP_DATABASE_URL", "postgresql+asyncpg://bump:canary@[::1/bump"),
        ("BUMP_REDIS_URL", "http://canary"),
        ("BUMP_REDIS_URL", "redis://:canary/1@cache:6379/0"),
        ("BUMP_LEASE", "canary"),
        ("BUMP_AUTH", "canary"),
        ("BUMP_WORKER_BATCH", "1000"),
        ("BUMP_METRICS_PORT", "70000"),
    ],
)
def test_the_setting_that_is_wrong_is_named_without_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=f"^{name}: ") as caught:
        read_settings()
    assert "canary" not in str(caught.value)


def test_an_unknown_scope_and_a_missing_file_are_named(bump: Bump) -> None:
    assert "'write'" in plain_error(bump("keys", "create", "--scope", "write"))
    assert "no file nowhere.jsonl" in plain_error(bump("import", "nowhere.jsonl"))


def test_a_damaged_gzip_file_is_explained(bump: Bump, tmp_path: Path, project_id: str) -> None:
    damaged = tmp_path / "damaged.gz"
    damaged.write_bytes(gzip.compress(as_lines(history(6)))[:-20])
    assert "damaged.gz" in plain_error(bump("import", str(damaged), "--project", project_id))


def test_serving_keyless_calls_beyond_loopback_is_refused(bump: Bump) -> None:
    done = bump("serve", "--host", "0.0.0.0", BUMP_AUTH="loopback")
    assert "BUMP_AUTH=keys" in plain_error(done)


def test_a_backfill_is_begun_paused_and_cancelled(
    bump: Bump, start_bump: StartBump, project_id: str
) -> None:
    of_project = ("--project", project_id)
    bump("import", "-", *of_project, stdin=as_lines(history(6)), BUMP_DEBOUNCE="3600")
    assert f"Project {project_id} has no such backfill" in plain_error(
        bump("backfill", "status", *of_project)
    )
    with start_bump("backfill", *of_project, "--rate", "50", "--json") as feeding:
        _wait_for_request(bump, of_project)
        paused = bump("backfill", "pause", *of_project)
        stdout, _ = feeding.communicate(timeout=60)
    assert paused.stdout.decode().startswith("Paused: `bump backfill` goes on.\n")
    assert feeding.returncode == 3
    told = json.loads(stdout)
    assert (told["status"], told["outstanding"], told["finished"]) == ("paused", 1, 0)
    refused = bump("backfill", *of_project, "--everyone")
    assert "Another backfill is unfinished: `bump backfill` goes on" in plain_error(refused)
    cancelled = json.loads(bump("backfill", "cancel", *of_project, "--json").stdout)
    assert cancelled["status"] == "cancelled"
    assert "no such backfill" in plain_error(bump("backfill", "cancel", *of_project))


def test_a_signal_pauses_a_backfill(bump: Bump, start_bump: StartBump, project_id: str) -> None:
    of_project = ("--project", project_id)
    bump("import", "-", *of_project, stdin=as_lines(history(6)), BUMP_DEBOUNCE="3600")
    with start_bump("backfill", *of_project) as feeding:
        _wait_for_request(bump, of_project)
        feeding.send_signal(signal.SIGINT)
        _, stderr = feeding.communicate(timeout=60)
    assert (feeding.returncode, stderr) == (3, b"")
    status = json.loads(bump("backfill", "status", *of_project, "--json").stdout)
    assert status["status"] == "paused"


def test_a_backfill_of_nobody_is_done(bump: Bump, project_id: str) -> None:
    done = bump("backfill", "--project", project_id)
    assert done.returncode == 0
    assert done.stdout.decode().startswith("Done.\n")


def _wait_for_request(bump: Bump, of_project: tuple[str, str]) -> None:
    deadline = time.monotonic() + 30
    while True:
        found = bump("backfill", "status", *of_project, "--json")
        if found.returncode == 0 and json.loads(found.stdout)["outstanding"]:
            return
        assert time.monotonic() < deadline, found.stderr
