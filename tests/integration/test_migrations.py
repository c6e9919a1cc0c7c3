"""The schema from nothing to now and back, and the servers that Bump refuses to run on."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from service import embedded
from service.commands.migrate import migrate, migrations_dir
from service.db.models import metadata
from service.db.server import verify_server
from service.db.session import open_database
from service.embedded.data_dir import DataDir
from service.errors import ConfigurationError
from service.runtime import SCHEMA_REVISION
from tests.embedded_stacks import open_directory


@dataclass(frozen=True)
class Urls:
    """Of one database, for its owner, for the application and for a superuser."""

    admin: str
    app: str
    superuser: str


@pytest.fixture(scope="module")
def cluster() -> Iterator[Urls]:
    """A Postgres of its own: roles belong to the cluster, and these tests change some."""
    with open_directory() as directory, embedded.start(directory / "bump") as stack:
        password = DataDir(directory / "bump").read_or_create_secrets().postgres
        address = stack.servers.admin_url.partition("@")[2]
        superuser = f"postgresql+asyncpg://postgres:{password}@{address}"
        yield Urls(stack.servers.admin_url, stack.servers.app_url, superuser)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[AsyncConnection]:
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            yield connection
    finally:
        await engine.dispose()


@pytest.fixture
async def urls(cluster: Urls) -> Urls:
    """An empty database."""
    name = f"d{uuid4().hex[:8]}"
    async with connected(cluster.superuser) as connection:
        await connection.execute(text(f"create database {name} owner bump_owner"))
    return Urls(*(url.rsplit("/", 1)[0] + f"/{name}" for url in vars(cluster).values()))


@pytest.fixture
async def migrated(urls: Urls) -> Urls:
    await upgrade(urls)
    return urls


async def upgrade(urls: Urls) -> None:
    await asyncio.to_thread(migrate, urls.admin, urls.app)


async def downgrade(urls: Urls) -> None:
    def to_nothing(connection: Connection) -> None:
        config = Config(migrations_dir() / "alembic.ini")
        config.set_main_option("script_location", str(migrations_dir()))
        config.attributes["connection"] = connection
        command.downgrade(config, "base")

    engine = create_async_engine(urls.admin)
    async with engine.connect() as connection:
        await connection.run_sync(to_nothing)
    await engine.dispose()


async def column(urls: Urls, statement: str) -> set[str]:
    async with connected(urls.superuser) as connection:
        return set((await connection.execute(text(statement))).scalars())


async def verify(url: str) -> None:
    database = open_database(url, pool_size=1)
    try:
        await verify_server(database, SCHEMA_REVISION)
    finally:
        await database.close()


TABLES = "select tablename from pg_tables where schemaname = 'public'"
FUNCTIONS = "select proname from pg_proc where pronamespace = 'public'::regnamespace"
SEQUENCES = "select sequencename from pg_sequences where schemaname = 'public'"
CHECKS = """
select conname from pg_constraint
where contype = 'c' and connamespace = 'public'::regnamespace
"""
VERSION = "select version_num from alembic_version"


class TestUpgrade:
    async def test_brings_an_empty_database_to_this_version(self, migrated: Urls) -> None:
        assert await column(migrated, TABLES) == {*metadata.tables, "alembic_version"}
        assert await column(migrated, VERSION) == {SCHEMA_REVISION}
        await verify(migrated.app)

    async def test_adds_up_to_the_models(self, migrated: Urls) -> None:
        def difference(connection: Connection) -> list[object]:
            options = {"compare_type": True, "compare_server_default": True}
            context = MigrationContext.configure(connection, opts=options)
            return list(compare_metadata(context, metadata))

        async with connected(migrated.superuser) as connection:
            assert await connection.run_sync(difference) == []

    async def test_has_the_checks_of_the_models(self, migrated: Urls) -> None:
        expected = {
            str(constraint.name)
            for table in metadata.tables.values()
            for constraint in table.constraints
            if isinstance(constraint, CheckConstraint)
        }
        assert await column(migrated, CHECKS) == expected

    async def test_again_changes_nothing(self, migrated: Urls) -> None:
        await upgrade(migrated)
        await verify(migrated.app)

    async def test_from_several_places_at_once(self, urls: Urls) -> None:
        await asyncio.gather(*(upgrade(urls) for _ in range(4)))
        await verify(urls.app)

    async def test_makes_the_login_role_where_there_is_none(self, urls: Urls) -> None:
        address = urls.app.partition("@")[2]
        name = f"r{uuid4().hex[:8]}"
        app = f"postgresql+asyncpg://{name}:it%27s%20%3A%40secret@{address}"
        await asyncio.to_thread(migrate, urls.admin, app)
        await verify(app)


class TestDowngrade:
    async def test_leaves_nothing_behind(self, migrated: Urls) -> None:
        await downgrade(migrated)
        assert await column(migrated, TABLES) == {"alembic_version"}
        assert await column(migrated, FUNCTIONS) == set()
        assert await column(migrated, SEQUENCES) == set()

    async def test_can_be_gone_back_on(self, migrated: Urls) -> None:
        await downgrade(migrated)
        await upgrade(migrated)
        await verify(migrated.app)


class TestRefusal:
    async def test_of_a_database_without_the_schema(self, urls: Urls) -> None:
        with pytest.raises(ConfigurationError, match=r"at nothing, this version needs .*migrate"):
            await verify(urls.app)

    async def test_of_an_older_schema(self, migrated: Urls) -> None:
        async with connected(migrated.superuser) as connection:
            await connection.execute(text("update alembic_version set version_num = '0000'"))
        with pytest.raises(ConfigurationError, match="at 0000, this version needs"):
            await verify(migrated.app)

    async def test_but_not_of_a_newer_one(self, migrated: Urls) -> None:
        async with connected(migrated.superuser) as connection:
            await connection.execute(text("update alembic_version set version_num = '9999'"))
        await verify(migrated.app)

    async def test_of_commits_that_are_not_durable(self, migrated: Urls) -> None:
        name = migrated.app.rsplit("/", 1)[1]
        async with connected(migrated.superuser) as connection:
            await connection.execute(
                text(f"alter role bump_service in database {name} set synchronous_commit = off")
            )
        with pytest.raises(ConfigurationError, match="synchronous_commit = off"):
            await verify(migrated.app)

    async def test_of_a_superuser(self, migrated: Urls) -> None:
        with pytest.raises(ConfigurationError, match="superuser or BYPASSRLS"):
            await verify(migrated.superuser)

    async def test_of_a_role_without_rights(self, migrated: Urls) -> None:
        name = f"r{uuid4().hex[:8]}"
        async with connected(migrated.superuser) as connection:
            await connection.execute(text(f"create role {name} login password 'p'"))
        url = f"postgresql+asyncpg://{name}:p@{migrated.app.partition('@')[2]}"
        with pytest.raises(ConfigurationError, match="no rights in this database"):
            await verify(url)

    async def test_of_a_role_that_bypasses_row_level_security(self, migrated: Urls) -> None:
        name = f"r{uuid4().hex[:8]}"
        async with connected(migrated.superuser) as connection:
            await connection.execute(text(f"create role {name} login bypassrls password 'p'"))
        url = f"postgresql+asyncpg://{name}:p@{migrated.app.partition('@')[2]}"
        with pytest.raises(ConfigurationError, match="superuser or BYPASSRLS"):
            await verify(url)
