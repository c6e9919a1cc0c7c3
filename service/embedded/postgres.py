"""The embedded Postgres: one cluster, scram everywhere, never run as root."""

import asyncio
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg

from service.embedded.account import Account
from service.embedded.data_dir import DataDir, Secrets, write_private
from service.embedded.errors import InitialisationFailed, SecretsDoNotMatch
from service.embedded.process import CAN_SEE_ORPHANS, Server, ServerCommand, run_to_end

DATABASE = "bump"
OWNER_ROLE = "bump_owner"
SERVICE_ROLE = "bump_service"
# Recovery after a kill -9 replays up to `max_wal_size` before the first connection.
START_SECONDS = 60.0
STOP_SECONDS = 30.0
_CONNECT_SECONDS = 5.0

# macOS allows 104 bytes with the closing NUL, Linux 108.
_MAX_SOCKET_PATH = 103
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "password_encryption": "scram-sha-256",
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "max_wal_size": "512MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


def initialise(bin_dir: Path, data: DataDir, secrets: Secrets, account: Account) -> None:
    """Create the cluster with its roles and database, unless it exists.

    All of it happens before the server ever listens, in a directory that gets its final name only
    when it is complete: there is no half-made cluster and no moment of trust authentication.

    Raises:
        InitialisationFailed: initdb or the creation of roles failed.
    """
    if data.cluster.exists():
        return
    staging = data.cluster.with_name("data.new")
    shutil.rmtree(staging, ignore_errors=True)
    _initdb(bin_dir, data, staging, secrets, account)
    _execute(bin_dir, staging, "postgres", _roles_sql(secrets), account)
    _execute(bin_dir, staging, DATABASE, _schema_sql(), account)
    staging.rename(data.cluster)


def start(bin_dir: Path, data: DataDir, port: int, account: Account) -> Server:
    """Start the server; it may not answer yet."""
    # We hold the data directory's lock and no process of this cluster is left. A crash leaves this
    # file all the same, and its pid may by now be somebody else's, at which Postgres would refuse.
    if CAN_SEE_ORPHANS:
        (data.cluster / "postmaster.pid").unlink(missing_ok=True)
    settings = _SETTINGS | {
        "port": str(port),
        "unix_socket_directories": _socket_directories(data.postgres, port),
        "cluster_name": data.marker,  # Shown in the titles of all its processes.
    }
    options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
    command = ServerCommand(
        name="postgres",
        argv=[str(bin_dir / "postgres"), "-D", str(data.cluster), *options],
        cwd=data.postgres,
        log=data.log("postgres"),
        death_signal=signal.SIGINT,  # Fast shutdown: clients are cut off, commits are kept.
        stop_seconds=STOP_SECONDS,
    )
    return Server(command, account)


def wait_until_ready(server: Server, data: DataDir, port: int, secrets: Secrets) -> None:
    """Block until the service role gets an answer.

    Raises:
        SecretsDoNotMatch: the cluster knows other passwords.
        ServerDidNotStart: the server exited or did not answer within START_SECONDS.
    """

    def answers() -> bool:
        # A thread, for the caller's may have a running event loop.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, _answers(port, secrets)).result()

    try:
        server.wait_until(answers, START_SECONDS)
    except asyncpg.InvalidPasswordError as error:
        raise SecretsDoNotMatch(data.secrets, data.cluster) from error


async def _answers(port: int, secrets: Secrets) -> bool:
    try:
        connection = await asyncpg.connect(
            host="127.0.0.1",
            port=port,
            user=SERVICE_ROLE,
            password=secrets.bump_service,
            database=DATABASE,
            ssl=False,
            timeout=_CONNECT_SECONDS,
        )
    except (OSError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
        return False
    try:
        return bool(await connection.fetchval("SELECT 1"))
    finally:
        await connection.close()


def _initdb(
    bin_dir: Path, data: DataDir, cluster: Path, secrets: Secrets, account: Account
) -> None:
    password_file = data.superuser_password
    write_private(password_file, secrets.postgres)
    try:
        account.own(password_file)
        _run(
            account,
            bin_dir / "initdb",
            f"--pgdata={cluster}",
            "--username=postgres",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            # Sorting and case rules that do not depend on the machine's locales.
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-locale",
            "--no-instructions",
        )
    finally:
        password_file.unlink()


def _execute(bin_dir: Path, cluster: Path, database: str, sql: str, account: Account) -> None:
    # Single-user mode runs one statement a line, without listening anywhere. A statement that
    # fails is not repeated in the output, for it may hold a password.
    settings = ("-c", "exit_on_error=on", "-c", "log_min_error_statement=panic")
    single = ("--single", "-D", str(cluster), *settings, database)
    _run(account, bin_dir / "postgres", *single, stdin=sql)


def _run(account: Account, program: Path, *arguments: str, stdin: str = "") -> None:
    done = run_to_end([str(program), *arguments], account, stdin)
    if done.returncode != 0:
        raise InitialisationFailed(program.name, done.returncode, done.stdout)


def _roles_sql(secrets: Secrets) -> str:
    # The owner creates the service role itself: since Postgres 16 that gives it ADMIN over it, so
    # that migrations may grant roles to it. Passwords are URL-safe, hence free of quotes.
    # Terse logs leave out details such as "Key (project_id, user_id)=(…) already exists".
    return (
        f"CREATE ROLE {OWNER_ROLE} LOGIN CREATEROLE PASSWORD '{secrets.bump_owner}'\n"
        f"CREATE DATABASE {DATABASE} OWNER {OWNER_ROLE}\n"
        f"ALTER DATABASE {DATABASE} SET log_error_verbosity = terse\n"
        f"SET SESSION AUTHORIZATION {OWNER_ROLE}\n"
        f"CREATE ROLE {SERVICE_ROLE} LOGIN PASSWORD '{secrets.bump_service}'\n"
    )


def _schema_sql() -> str:
    return f"ALTER SCHEMA public OWNER TO {OWNER_ROLE}\n"


def _socket_directories(directory: Path, port: int) -> str:
    """The setting's value; empty, so TCP alone, where the path is too long for a socket."""
    socket = directory / f".s.PGSQL.{port}"
    if len(bytes(socket)) > _MAX_SOCKET_PATH:
        return ""
    escaped = str(directory).replace('"', '""')
    return f'"{escaped}"'
