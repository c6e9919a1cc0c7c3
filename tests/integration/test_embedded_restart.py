"""The embedded Postgres and Valkey stopped, killed, damaged, and started again."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from service import embedded
from service.embedded.account import server_account
from service.embedded.data_dir import DataDir
from service.embedded.process import end_orphans
from tests.embedded_stacks import (
    AS_ROOT,
    OWNER_PROGRAM,
    connect,
    in_another_process,
    open_directory,
    owner_process,
    ping,
    postmaster_pid,
    query,
    valkey_pid,
    wait_until_gone,
)


@pytest.fixture(scope="module")
def open_dir() -> Iterator[Path]:
    with open_directory() as directory:
        yield directory


@pytest.fixture(scope="module")
def initialised(open_dir: Path) -> Path:
    """A stopped data directory, to be copied: initialising one takes most of a second."""
    data_dir = open_dir / "initialised"
    embedded.start(data_dir).stop()
    return data_dir


@pytest.fixture
def data_dir(initialised: Path, open_dir: Path, request: pytest.FixtureRequest) -> Path:
    copy = open_dir / str(request.node.name)
    subprocess.run(["cp", "-a", initialised, copy], check=True)
    return copy


async def test_data_and_urls_survive_stop_and_start(data_dir: Path) -> None:
    with embedded.start(data_dir) as first:
        await query(first.servers.admin_url, "CREATE TABLE kept AS SELECT 7 AS number")
    with embedded.start(data_dir) as second:
        assert await query(second.servers.admin_url, "SELECT number FROM kept") == 7
    assert second.servers == first.servers


def test_a_start_beside_another_process_names_its_pid(data_dir: Path) -> None:
    with (
        owner_process(data_dir) as owner,
        pytest.raises(embedded.AlreadyRunning, match=f"process {owner.pid}:"),
    ):
        embedded.start(data_dir)


def test_nothing_is_found_after_stop(initialised: Path) -> None:
    assert embedded.running(initialised) is None


def test_nothing_is_found_where_nothing_ever_ran(tmp_path: Path) -> None:
    assert embedded.running(tmp_path / "never") is None


def test_stopping_twice_is_harmless(data_dir: Path) -> None:
    stack = embedded.start(data_dir)
    stack.stop()
    stack.stop()
    assert embedded.running(data_dir) is None


def test_servers_outlive_the_thread_that_started_them(data_dir: Path) -> None:
    started: list[embedded.Embedded] = []
    thread = threading.Thread(target=lambda: started.append(embedded.start(data_dir)))
    thread.start()
    thread.join()
    with started[0] as stack:
        assert asyncio.run(query(stack.servers.app_url, "SELECT 1")) == 1
        assert ping(stack.servers.redis_url)


def test_an_owner_that_exits_without_stopping_takes_the_servers_along(data_dir: Path) -> None:
    assert in_another_process(OWNER_PROGRAM, data_dir) == "ready\n"
    assert not DataDir(data_dir).cluster.joinpath("postmaster.pid").exists()
    assert embedded.running(data_dir) is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the parent-death signal")
def test_both_servers_die_with_an_owner_that_was_killed(data_dir: Path) -> None:
    with owner_process(data_dir) as owner:
        servers = embedded.running(data_dir)
        assert servers is not None
        pids = postmaster_pid(data_dir), valkey_pid(servers)
        owner.kill()
        wait_until_gone(*pids)
    assert embedded.running(data_dir) is None


async def rows_acknowledged_until_cut_off(url: str, cut: Callable[[int], Awaitable[None]]) -> int:
    """Insert 1, 2, 3 …, one transaction each; the last one that the server confirmed."""
    connection = await connect(url)
    await connection.execute("CREATE TABLE acknowledged (number int PRIMARY KEY)")
    number = 0
    try:
        while number < 100_000:
            await connection.execute("INSERT INTO acknowledged VALUES ($1)", number + 1)
            number += 1
            await cut(number)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        return number  # The last kind: asyncpg 0.32 when the server's goodbye meets a query.
    finally:
        connection.terminate()
    raise AssertionError("the server never cut the connection")


async def test_no_committed_row_is_lost_when_the_owner_is_killed(data_dir: Path) -> None:
    with owner_process(data_dir) as owner:
        servers = embedded.running(data_dir)
        assert servers is not None

        async def kill_owner(number: int) -> None:
            if number == 200:
                owner.kill()

        acknowledged = await rows_acknowledged_until_cut_off(servers.admin_url, kill_owner)
    assert acknowledged >= 200
    with embedded.start(data_dir) as restarted:
        kept = await query(restarted.servers.admin_url, "SELECT count(*) FROM acknowledged")
    assert kept in (acknowledged, acknowledged + 1)  # One may be committed, its answer cut off.


async def test_no_committed_row_is_lost_when_postgres_is_killed(data_dir: Path) -> None:
    with embedded.start(data_dir) as stack:
        pid = postmaster_pid(data_dir)

        async def kill_postgres(number: int) -> None:
            if number == 200:
                os.kill(pid, signal.SIGKILL)

        url = stack.servers.admin_url
        acknowledged = await rows_acknowledged_until_cut_off(url, kill_postgres)
    with embedded.start(data_dir) as restarted:
        kept = await query(restarted.servers.admin_url, "SELECT count(*) FROM acknowledged")
    assert acknowledged >= 200
    assert kept in (acknowledged, acknowledged + 1)


@pytest.mark.skipif(sys.platform != "linux", reason="found through /proc")
def test_a_server_that_survived_its_owner_is_ended(data_dir: Path) -> None:
    with owner_process(data_dir) as owner:
        pid = postmaster_pid(data_dir)
        os.kill(pid, signal.SIGSTOP)  # Stopped, it cannot obey the signal of its owner's death.
        owner.kill()
    data = DataDir(data_dir)
    end_orphans(data.marker, server_account(data.postgres), seconds=0.2)
    wait_until_gone(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Postgres itself decides")
def test_a_pid_file_that_names_somebody_elses_process_blocks_nothing(data_dir: Path) -> None:
    data = DataDir(data_dir)
    account = server_account(data.postgres)
    stranger = subprocess.Popen(["sleep", "60"], user=account.uid if AS_ROOT else None)
    try:
        left = data.cluster / "postmaster.pid"
        left.write_text(f"{stranger.pid}\n{data.cluster}\n1\n1\n\n127.0.0.1\n1 1\n")
        account.own(left)
        embedded.start(data_dir).stop()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_lost_passwords_are_reported_not_replaced(data_dir: Path) -> None:
    (data_dir / "secrets.json").unlink()
    with pytest.raises(embedded.SecretsDoNotMatch, match=r"Restore secrets\.json"):
        embedded.start(data_dir)
    assert not (data_dir / "secrets.json").exists()


def test_passwords_of_another_cluster_are_reported(data_dir: Path, open_dir: Path) -> None:
    others = DataDir(open_dir / "others")
    others.create()
    others.read_or_create_secrets()
    shutil.copy(others.secrets, data_dir / "secrets.json")
    with pytest.raises(embedded.SecretsDoNotMatch):
        embedded.start(data_dir)


def test_a_server_that_cannot_start_says_why(data_dir: Path) -> None:
    (DataDir(data_dir).cluster / "PG_VERSION").write_text("9\n")
    with pytest.raises(embedded.ServerDidNotStart, match=r"postgres exited .*(?s:.*)version 9"):
        embedded.start(data_dir)
    assert embedded.running(data_dir) is None


def test_a_path_too_long_for_a_socket_still_works(initialised: Path, open_dir: Path) -> None:
    long = open_dir / ("long" * 30)
    subprocess.run(["cp", "-a", initialised, long], check=True)
    with embedded.start(long) as stack:
        assert asyncio.run(query(stack.servers.app_url, "SELECT 1")) == 1
