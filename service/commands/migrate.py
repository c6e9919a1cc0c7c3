"""`bump migrate`: bring the schema to this version, and let the application's role use it."""

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from service.db.session import explanation, is_lock_timeout
from service.errors import DatabaseUnavailable

# Any number that nothing else in the database locks by.
_LOCK_ID = 7_266_001


def migrations_dir() -> Path:
    """Inside the wheel the migrations lie in the package, in a checkout beside it."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


def migrate(admin_url: str, app_url: str | None) -> None:
    """Upgrade to the newest revision; give the login role of `app_url` the application's rights.

    Safe to run from several places at once, and again. Raises DatabaseUnavailable, or
    ConfigurationError when Postgres refuses `admin_url`.
    """
    asyncio.run(_migrate(admin_url, app_url))


async def _migrate(admin_url: str, app_url: str | None) -> None:
    engine = create_async_engine(admin_url, hide_parameters=True)
    try:
        async with engine.connect() as connection:
            await connection.execute(text(f"select pg_advisory_lock({_LOCK_ID})"))
            await connection.commit()
            await connection.run_sync(_upgrade)
            if app_url is not None:
                await connection.run_sync(_grant_application_role, app_url)
                await connection.commit()
    except (SQLAlchemyError, OSError) as error:
        if is_lock_timeout(error):
            raise DatabaseUnavailable(
                "A transaction that takes long holds a table which the migration changes, so it "
                "gave way. pg_stat_activity shows whose it is; then run `bump migrate` again."
            ) from error
        if explained := explanation(error):
            raise explained from error
        raise
    finally:
        await engine.dispose()


def _upgrade(connection: Connection) -> None:
    directory = migrations_dir()
    config = Config(directory / "alembic.ini")
    config.set_main_option("script_location", str(directory))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _grant_application_role(connection: Connection, app_url: str) -> None:
    url = make_url(app_url)
    role = str(url.username)
    quote = connection.dialect.identifier_preparer.quote
    exists = connection.execute(
        text("select 1 from pg_roles where rolname = :role"), {"role": role}
    ).scalar()
    if not exists:
        password = connection.execute(
            text("select quote_literal(:password)"), {"password": str(url.password or "")}
        ).scalar_one()
        connection.exec_driver_sql(f"create role {quote(role)} login password {password}")
    connection.exec_driver_sql(f"grant bump_app to {quote(role)}")
