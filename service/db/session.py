"""Connections and transactions: one per request or phase of a job, bound to one project."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from asyncpg import Connection as AsyncpgConnection
from asyncpg import InterfaceError as AsyncpgInterfaceError
from asyncpg import InternalClientError, PostgresError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InterfaceError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from service.db.keyed_lock import KeyedLock
from service.errors import ConfigurationError, DatabaseUnavailable

# SQLSTATE classes and codes that mean "the server cannot work now", not "the statement is wrong":
# connection lost, insufficient resources (disk full), operator intervention, lock and statement
# time-outs, deadlock.
_TRANSIENT_CLASSES = ("08", "53", "57", "58")
_TRANSIENT_CODES = {"55P03", "40P01", "40001", "25006"}
# Wrong role or password; no such database.
_REFUSALS = ("28", "3D000")
_RETRY_AFTER_SECONDS = 2
# How long a transaction waits for a connection, or for its turn with a user, before it is refused.
_WAIT_SECONDS = 5

# What `Transaction.fetch` lets through unwrapped.
_DRIVER_ERRORS = (PostgresError, AsyncpgInterfaceError, InternalClientError)

_SESSION_SETTINGS = {
    "application_name": "bump",
    "statement_timeout": "15000",
    "lock_timeout": "5000",
    # No transaction waits for anything but Postgres: an idle one belongs to a frozen process,
    # and holds its locks.
    "idle_in_transaction_session_timeout": "10000",
    # The plans here are the same for every parameter; planning anew each time costs more than
    # it could save.
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
}

_SET_PROJECT = text("select set_config('bump.project_id', :project_id, true)")


@dataclass(frozen=True, slots=True)
class Transaction:
    """One open transaction that sees and writes the rows of `project_id` only (by RLS)."""

    connection: AsyncConnection
    project_id: str

    async def execute(self, statement: Any, **parameters: Any) -> Any:
        """Run `statement` with `project_id` bound as a parameter beside `parameters`."""
        return await self.connection.execute(
            statement, {"project_id": self.project_id, **parameters}
        )

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        """The rows of `statement`, in asyncpg's words: `$1` is the project, then `arguments`.

        For ingest and for histories: many values go in or come out, and SQLAlchemy's handling of
        them costs as much as half of what Postgres does.
        """
        pooled = await self.connection.get_raw_connection()
        driver: AsyncpgConnection = pooled.driver_connection
        rows: list[Any] = await driver.fetch(statement, self.project_id, *arguments)
        return rows


class Database:
    """The pool of one process: `pool_size` transactions at once, the others in order of arrival."""

    def __init__(self, engine: AsyncEngine, pool_size: int) -> None:
        self._engine = engine
        # SQLAlchemy's own queue lets newcomers in ahead of those who wait, some of them for long.
        self._turns = asyncio.Semaphore(pool_size)
        self._users = KeyedLock()

    @asynccontextmanager
    async def transaction(self, project_id: str) -> AsyncIterator[Transaction]:
        """BEGIN, bind the project, work, COMMIT (ROLLBACK on an exception).

        Raises DatabaseUnavailable when the server is gone, full or overloaded.
        """
        async with self._connection() as connection:
            await connection.execute(_SET_PROJECT, {"project_id": project_id})
            yield Transaction(connection, project_id)

    @asynccontextmanager
    async def writing(self, project_id: str, user_ids: Iterable[str]) -> AsyncIterator[Transaction]:
        """A transaction that is going to lock these users.

        Writers of the same user take turns before they take a connection: those who waited for
        the row of a busy user would hold the whole pool, and everybody else would wait with them.

        Raises DatabaseUnavailable, also when a user is not free in time.
        """
        keys = [(project_id, user_id) for user_id in sorted(user_ids)]
        try:
            async with (
                self._users.hold(keys, wait_seconds=_WAIT_SECONDS),
                self.transaction(project_id) as tx,
            ):
                yield tx
        except TimeoutError as error:
            raise DatabaseUnavailable(
                f"So much is written for one user that there was no turn in {_WAIT_SECONDS} s; "
                "nothing was written. Send the request again, or fewer and larger batches.",
                retry_after_seconds=_RETRY_AFTER_SECONDS,
            ) from error

    @asynccontextmanager
    async def across_projects(self) -> AsyncIterator[AsyncConnection]:
        """A transaction bound to no project: it can call the SECURITY DEFINER functions only."""
        async with self._connection() as connection:
            yield connection

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._turn(), self._engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, *_DRIVER_ERRORS, OSError) as error:
            if explained := explanation(error):
                raise explained from error
            raise

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        async with asyncio.timeout(_WAIT_SECONDS):
            await self._turns.acquire()
        try:
            yield
        finally:
            self._turns.release()

    async def ping(self) -> None:
        """Raises DatabaseUnavailable when the server does not answer."""
        async with self.across_projects() as connection:
            await connection.execute(text("select 1"))

    async def close(self) -> None:
        await self._engine.dispose()


def open_database(url: str, pool_size: int) -> Database:
    """A database for `url` (`postgresql+asyncpg://…`). Connects on first use."""
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=_WAIT_SECONDS,
        pool_pre_ping=False,
        pool_recycle=1800,
        # Statements carry interaction text: it must not reach a log through an error message.
        hide_parameters=True,
        json_deserializer=orjson.loads,
        connect_args={
            "timeout": 5,
            "command_timeout": 20,
            "server_settings": _SESSION_SETTINGS,
        },
    )
    return Database(engine, pool_size)


def explanation(error: Exception) -> DatabaseUnavailable | ConfigurationError | None:
    """What to raise in place of a driver's error, None where it is a bug of ours."""
    if is_transient(error):
        return DatabaseUnavailable(
            # A commit whose answer was lost may have happened, so nothing is said of that.
            "The database does not answer. Send the request again: event ids, or an "
            "Idempotency-Key, keep it from counting twice.",
            retry_after_seconds=_RETRY_AFTER_SECONDS,
        )
    if _sqlstate(error).startswith(_REFUSALS):
        return ConfigurationError(
            f"Postgres refuses the connection: {_cause(error)}. Check BUMP_DATABASE_URL (and "
            "BUMP_DATABASE_ADMIN_URL, which only `bump migrate` and `bump keys` use)."
        )
    return None


def is_transient(error: Exception) -> bool:
    """Whether trying again later can help: the server is gone, full, overloaded or timed out."""
    # asyncpg raises InternalClientError when the server goes away in the middle of a query.
    gone = (OSError, PoolTimeoutError, InterfaceError, AsyncpgInterfaceError, InternalClientError)
    if isinstance(error, gone):
        return True
    if isinstance(error, DBAPIError) and (
        error.connection_invalidated or isinstance(error.orig, OSError)
    ):
        return True
    state = _sqlstate(error)
    return state in _TRANSIENT_CODES or state.startswith(_TRANSIENT_CLASSES)


def is_lock_timeout(error: Exception) -> bool:
    """Whether a lock was not to be had within `lock_timeout`."""
    return _sqlstate(error) == "55P03"


def _sqlstate(error: Exception) -> str:
    return getattr(_cause(error), "sqlstate", None) or ""


def _cause(error: Exception) -> BaseException | None:
    return error.orig if isinstance(error, DBAPIError) else error
