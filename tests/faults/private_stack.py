"""A Postgres and a Valkey of a test's own, which it may freeze, kill and start again."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import redis
from pydantic import SecretStr

from service import embedded
from service.commands.keys import create_key
from service.commands.migrate import migrate
from service.config import Settings
from service.db.projects import Scope
from service.embedded import EmbeddedServers, postgres, valkey
from service.embedded.account import server_account
from service.embedded.binaries import postgres_bin, valkey_server
from service.embedded.data_dir import DataDir
from service.embedded.process import Server
from tests.embedded_stacks import (
    connect,
    descendants,
    open_directory,
    postmaster_pid,
    valkey_pid,
    wait_until_gone,
)


class PrivateStack:
    """Migrated servers in a directory of their own; their URLs outlive every restart."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._embedded = embedded.start(data_dir)
        self._second_valkey: Server | None = None
        self._second_postgres: Server | None = None
        self._orphans: list[int] = []
        self.servers: EmbeddedServers = self._embedded.servers
        self.valkey_pid = valkey_pid(self.servers)
        migrate(self.servers.admin_url, self.servers.app_url)

    @property
    def settings(self) -> Settings:
        return Settings(
            _env_file=None,
            database_url=SecretStr(self.servers.app_url),
            database_admin_url=SecretStr(self.servers.admin_url),
            redis_url=SecretStr(self.servers.redis_url),
            redis_timeout=1.0,
            debounce=0,
            max_delay=0,
        )

    async def create_key(self, project_id: str) -> str:
        return await create_key(self.settings, project_id, "test", list(Scope), None)

    def kill_postgres(self) -> None:
        """`kill -9` of the postmaster: what it had not flushed is gone."""
        pid = postmaster_pid(self._data_dir)
        self._orphans = descendants(pid)
        os.kill(pid, signal.SIGKILL)

    def start_postgres_again(self) -> None:
        """On the port and with the data of the one that was killed."""
        wait_until_gone(*self._orphans)
        data = DataDir(self._data_dir.resolve())
        account = server_account(data.postgres)
        port = urlsplit(self.servers.app_url).port
        assert port is not None
        binaries = postgres_bin(account, data.runtime)
        self._second_postgres = postgres.start(binaries, data, port, account)
        secrets = data.read_or_create_secrets()
        postgres.wait_until_ready(self._second_postgres, data, port, secrets)

    async def switch_wal(self) -> None:
        """Let Postgres go on in a new segment of its write-ahead log, of 16 MB."""
        password = DataDir(self._data_dir).read_or_create_secrets().postgres
        connection = await connect(self.servers.admin_url, user="postgres", password=password)
        try:
            await connection.execute("select pg_switch_wal()")
        finally:
            await connection.close()

    async def restart(self) -> None:
        """Start both servers again, on the same ports."""
        await asyncio.to_thread(self._embedded.stop)
        self._embedded = await asyncio.to_thread(embedded.start, self._data_dir)
        assert self._embedded.servers == self.servers

    def flush_valkey(self) -> None:
        with redis.Redis.from_url(self.servers.redis_url) as client:
            client.flushall()

    def freeze_valkey(self) -> None:
        os.kill(self.valkey_pid, signal.SIGSTOP)

    def thaw_valkey(self) -> None:
        os.kill(self.valkey_pid, signal.SIGCONT)

    def kill_valkey(self) -> None:
        os.kill(self.valkey_pid, signal.SIGKILL)

    def start_valkey_again(self) -> None:
        """An empty one, on the port of the one that was killed."""
        data = DataDir(self._data_dir.resolve())
        account = server_account(data.valkey)
        secrets = data.read_or_create_secrets()
        port = urlsplit(self.servers.redis_url).port
        assert port is not None
        binary = valkey_server(account, data.runtime)
        self._second_valkey = valkey.start(binary, data, port, secrets, account)
        valkey.wait_until_ready(self._second_valkey, port, secrets)
        self.valkey_pid = valkey_pid(self.servers)

    def stop(self) -> None:
        for server in (self._second_postgres, self._second_valkey):
            if server is not None:
                server.stop()
        self._embedded.stop()


@asynccontextmanager
async def open_private_stack() -> AsyncIterator[PrivateStack]:
    with open_directory() as directory:
        async with private_stack_in(directory) as stack:
            yield stack


@asynccontextmanager
async def private_stack_in(directory: Path) -> AsyncIterator[PrivateStack]:
    # On a thread, for starting blocks and migrating runs a loop of its own.
    stack = await asyncio.to_thread(PrivateStack, directory / "bump")
    try:
        yield stack
    finally:
        await asyncio.to_thread(stack.stop)
