"""A real Postgres and a real Valkey from the wheels, for `bump up` and the tests.

The same code path as production on a machine with nothing but Python. One process owns a data
directory and its servers; they end with it, however it ends. On systems without a parent-death
signal (macOS) a killed owner leaves them running.
"""

import atexit
import os
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from service.embedded import postgres, valkey
from service.embedded.account import server_account
from service.embedded.binaries import postgres_bin, valkey_server
from service.embedded.data_dir import DataDir, Secrets
from service.embedded.errors import (
    AlreadyRunning,
    DataDirNotTraversable,
    EmbeddedError,
    InitialisationFailed,
    NoServerAccount,
    OrphansRemain,
    SecretsDoNotMatch,
    ServerDidNotStart,
)
from service.embedded.ownership import Owner, Ownership, current_owner, own
from service.embedded.process import Server, end_orphans

__all__ = [
    "AlreadyRunning",
    "DataDirNotTraversable",
    "Embedded",
    "EmbeddedError",
    "EmbeddedServers",
    "InitialisationFailed",
    "NoServerAccount",
    "OrphansRemain",
    "SecretsDoNotMatch",
    "ServerDidNotStart",
    "default_data_dir",
    "running",
    "start",
]


@dataclass(frozen=True, slots=True)
class EmbeddedServers:
    """URLs with passwords: `admin_url` for migrations and keys, `app_url` for API and workers.

    `admin_url` owns the database and may create roles; `app_url` is a plain login role, so
    row-level security holds for it. Neither is a superuser.
    """

    admin_url: str
    app_url: str
    redis_url: str

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


class Embedded:
    """Running servers, until `stop` or the end of this process. A context manager."""

    def __init__(
        self, servers: EmbeddedServers, processes: Sequence[Server], resources: ExitStack
    ) -> None:
        self.servers = servers
        self._processes = processes
        self._resources = resources
        atexit.register(self.stop)

    def __enter__(self) -> "Embedded":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def ended(self) -> str | None:
        """The name and the log of a server that has ended by itself; None while both run."""
        for server in self._processes:
            if server.has_ended:
                return f"{server.name}; its log, {server.log}, says why"
        return None

    def stop(self) -> None:
        """Stop both servers cleanly, then release the data directory; harmless when stopped."""
        atexit.unregister(self.stop)
        self._resources.close()


def default_data_dir() -> Path:
    """Per user; as root `/var/lib/bump`, for the servers' account cannot enter root's home."""
    if os.geteuid() == 0:
        return Path("/var/lib/bump")
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "bump"


def start(data_dir: Path) -> Embedded:
    """Start both servers on `data_dir`, made and initialised if need be; block until they answer.

    Safe from any thread. As root, every directory on the way to `data_dir` must be open to the
    account that Postgres then runs as (`postgres` or `nobody`).

    Raises:
        AlreadyRunning: a live process owns `data_dir`.
        DataDirNotTraversable, NoServerAccount: we are root, and Postgres could not run.
        OrphansRemain: servers of an earlier owner cannot be ended.
        SecretsDoNotMatch: `secrets.json` is missing or of another cluster.
        InitialisationFailed, ServerDidNotStart: with what the program said.
    """
    data = DataDir(data_dir.resolve())
    data.create()
    with ExitStack() as resources:
        ownership = resources.enter_context(own(data.owner))
        servers, processes = _start(data, ownership, resources)
        return Embedded(servers, processes, resources.pop_all())


def running(data_dir: Path) -> EmbeddedServers | None:
    """The servers that a live process, this one or another, runs on `data_dir`; None if none does.

    Raises:
        PermissionError: they belong to another user.
    """
    data = DataDir(data_dir.resolve())
    owner = current_owner(data.owner)
    return _servers(owner, data.read_or_create_secrets()) if owner else None


def _start(
    data: DataDir, ownership: Ownership, resources: ExitStack
) -> tuple[EmbeddedServers, tuple[Server, Server]]:
    owner = Owner(os.getpid(), *_free_ports(ownership.last()))
    ownership.announce(owner)
    account = server_account(data.postgres)
    data.create_server_directories(account)
    end_orphans(data.marker, account, postgres.STOP_SECONDS)
    secrets = data.read_or_create_secrets()
    bin_dir = postgres_bin(account, data.runtime)
    valkey_binary = valkey_server(account, data.runtime)
    postgres.initialise(bin_dir, data, secrets, account)

    # Both start at once; then we wait for the slower one.
    cache = resources.enter_context(
        valkey.start(valkey_binary, data, owner.valkey_port, secrets, account)
    )
    database = resources.enter_context(postgres.start(bin_dir, data, owner.postgres_port, account))
    valkey.wait_until_ready(cache, owner.valkey_port, secrets)
    postgres.wait_until_ready(database, data, owner.postgres_port, secrets)

    ready = Owner(owner.pid, owner.postgres_port, owner.valkey_port, ready=True)
    ownership.announce(ready)
    resources.callback(ownership.announce, owner)
    return _servers(ready, secrets), (cache, database)


def _servers(owner: Owner, secrets: Secrets) -> EmbeddedServers:
    address = f"127.0.0.1:{owner.postgres_port}/{postgres.DATABASE}"
    return EmbeddedServers(
        admin_url=f"postgresql+asyncpg://{postgres.OWNER_ROLE}:{secrets.bump_owner}@{address}",
        app_url=f"postgresql+asyncpg://{postgres.SERVICE_ROLE}:{secrets.bump_service}@{address}",
        redis_url=f"redis://:{secrets.valkey}@127.0.0.1:{owner.valkey_port}/0",
    )


def _free_ports(last: Owner | None) -> tuple[int, int]:
    """For Postgres and Valkey: the last ones if still free, so that URLs outlive a restart."""
    with socket.socket() as first, socket.socket() as second:
        return (
            _bind(first, last.postgres_port if last else 0),
            _bind(second, last.valkey_port if last else 0),
        )


def _bind(probe: socket.socket, preferred: int) -> int:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind(("127.0.0.1", preferred))
    except OSError:
        probe.bind(("127.0.0.1", 0))
    port: int = probe.getsockname()[1]
    return port
