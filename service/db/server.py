"""What kind of Postgres this is, and whether Bump's promises can be kept on it."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.session import Database
from service.errors import ConfigurationError

_FACTS = text(
    """
    select current_setting('server_version') as version,
           current_setting('synchronous_commit') as synchronous_commit,
           (select rolsuper or rolbypassrls from pg_roles where rolname = current_user) as bypasses,
           clock_timestamp() as clock
    """
)
# Null where there is no such table.
_READABLE = "select has_table_privilege(to_regclass('alembic_version'), 'select')"


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """`bypasses`: row-level security does not bind this role.

    `schema` is its revision: "" where there is none, None where this role may not read it.
    """

    version: str
    synchronous_commit: str
    bypasses: bool
    clock: datetime
    schema: str | None


async def read_facts(database: Database) -> ServerFacts:
    """Raises DatabaseUnavailable, or ConfigurationError when Postgres refuses the connection."""
    async with database.across_projects() as connection:
        found = (await connection.execute(_FACTS)).one()._asdict()
        return ServerFacts(**found, schema=await _schema(connection))


async def verify_server(database: Database, needed_schema: str) -> None:
    """Refuse to run on a database that would break a promise.

    Raises ConfigurationError when commits are not durable, when row-level security would not
    bind this role, or when the schema is older than `needed_schema`.
    """
    facts = await read_facts(database)
    if problem := broken_promise(facts) or outdated_schema(facts, needed_schema):
        raise ConfigurationError(problem)


def broken_promise(facts: ServerFacts) -> str | None:
    """Which promise this server, or this role, would break, and what to change."""
    if facts.synchronous_commit == "off":
        return (
            "Postgres runs with synchronous_commit = off, so an acknowledged interaction "
            "could be lost. Set it to 'on' (or 'local') for this role and start again."
        )
    if facts.bypasses:
        return (
            "BUMP_DATABASE_URL names a superuser or BYPASSRLS role, for which projects are "
            "not isolated. Use the application role that `bump migrate` prepares."
        )
    return None


def outdated_schema(facts: ServerFacts, needed: str) -> str | None:
    """What to do about an older schema. A newer one is fine: revisions only add."""
    if facts.schema is None:
        return (
            "The role of BUMP_DATABASE_URL has no rights in this database: run `bump migrate`, "
            "which gives them to it."
        )
    if facts.schema >= needed:
        return None
    return (
        f"The schema is at {facts.schema or 'nothing'}, this version needs {needed}: "
        "run `bump migrate`."
    )


async def _schema(connection: AsyncConnection) -> str | None:
    readable = (await connection.execute(text(_READABLE))).scalar()
    if not readable:
        return "" if readable is None else None
    found = await connection.execute(text("select version_num from alembic_version"))
    return str(found.scalar())
