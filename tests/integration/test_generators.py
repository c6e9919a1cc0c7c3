"""The registry: candidates of a project, each name one artifact."""

from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from service.db.generators import (
    GeneratorKind,
    GeneratorStatus,
    NameTaken,
    RegisteredGenerator,
    find,
    register,
    registered,
)
from service.db.session import Database
from service.runtime import Runtime
from tests.histories import Sql

SHA256 = "ab" * 32


@pytest.fixture
def database(runtime: Runtime) -> Database:
    return runtime.database


async def add(database: Database, project_id: str, **changes: Any) -> RegisteredGenerator:
    known = {
        "name": "night-1",
        "kind": GeneratorKind.EXTRACTIVE,
        "base_model": None,
        "artifact_uri": "file:///var/lib/bump/night-1.json",
        "sha256": SHA256,
        "metrics": {"reward": {"start": 1.4, "end": 1.5}},
    }
    async with database.transaction(project_id) as tx:
        return await register(tx, **{**known, **changes})


async def test_what_is_registered_is_a_candidate(database: Database, project_id: str) -> None:
    added = await add(database, project_id)
    assert (added.status, added.sha256) == (GeneratorStatus.CANDIDATE, SHA256)
    assert added.metrics == {"reward": {"start": 1.4, "end": 1.5}}
    async with database.transaction(project_id) as tx:
        assert await find(tx, "night-1") == added
        assert await find(tx, "night-2") is None


async def test_the_same_again_renews_its_metrics(database: Database, project_id: str) -> None:
    first = await add(database, project_id)
    again = await add(database, project_id, metrics={"steps": 9}, artifact_uri="file:///moved")
    assert (again.metrics, again.artifact_uri) == ({"steps": 9}, "file:///moved")
    assert again.created_at == first.created_at


@pytest.mark.parametrize("change", [{"sha256": "cd" * 32}, {"kind": GeneratorKind.LLM}])
async def test_a_name_stands_for_one_artifact(
    database: Database, project_id: str, change: dict[str, Any]
) -> None:
    await add(database, project_id)
    with pytest.raises(NameTaken, match="another generator 'night-1'"):
        await add(database, project_id, **change)


@pytest.mark.parametrize("sha256", ["ab", "no hex"])
async def test_a_digest_is_64_hex_digits(database: Database, project_id: str, sha256: str) -> None:
    with pytest.raises(ValueError, match="hex"):
        await add(database, project_id, sha256=sha256)


async def test_they_are_listed_by_age_and_status(
    database: Database, project_id: str, elsewhere: str, sql: Sql
) -> None:
    for name in ("b", "a"):
        await add(database, project_id, name=name)
    await add(database, elsewhere, name="theirs")
    await sql("update generators set status = 'retired' where name = 'b'")
    async with database.transaction(project_id) as tx:
        assert [one.name for one in await registered(tx)] == ["b", "a"]
        assert [one.name for one in await registered(tx, GeneratorStatus.RETIRED)] == ["b"]


async def test_one_generator_serves_at_most(database: Database, project_id: str, sql: Sql) -> None:
    for name in ("a", "b"):
        await add(database, project_id, name=name)
    with pytest.raises(IntegrityError, match="uq_generators_serving"):
        await sql("update generators set status = 'serving'")
