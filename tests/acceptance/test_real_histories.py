"""Real histories all the way: every line is taken, every eligible user gets an honest profile.

The histories lie in `../shared/data`, beside the checkout; without them these tests are skipped.
"""

import gzip
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from service.commands.importing import import_file
from service.domain.interaction import EventKey
from service.domain.profile import Profile
from service.domain.tokens import estimate_tokens
from service.flows.import_history import ImportReport
from service.flows.revise_profile import get_version
from service.runtime import Runtime
from tests.conftest import make_worker

HISTORIES = Path(__file__).parents[2].parent / "shared" / "data" / "histories"
FILES = ("git_commits", "movielens_small")
SHARE_OF_EMPTY_PROFILES = 0.02

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Imported:
    """One file, imported into a project of its own and worked off."""

    path: Path
    project_id: str
    report: ImportReport
    events: dict[str, set[EventKey]]
    profiles: dict[str, Profile]


def events_by_user(path: Path) -> dict[str, set[EventKey]]:
    found: dict[str, set[EventKey]] = defaultdict(set)
    with gzip.open(path, "rb") as lines:
        for line in lines:
            record = json.loads(line)
            key = EventKey(record.get("source", "api"), record["event_id"])
            found[record["user_id"]].add(key)
    return found


async def import_into(runtime: Runtime, path: Path, project_id: str, state: Path) -> ImportReport:
    return await import_file(runtime.settings, str(path), project_id, state, from_start=False)


@pytest.fixture(scope="module", params=FILES)
async def imported(
    runtime: Runtime, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Imported]:
    path = HISTORIES / f"{request.param}.jsonl.gz"
    if not path.exists():
        pytest.skip(f"{path.name} is not here")
    project_id = f"real-{request.param}"
    report = await import_into(runtime, path, project_id, tmp_path_factory.mktemp("imports"))
    worker = make_worker(runtime)
    while await worker.run_once():
        continue
    events = events_by_user(path)
    profiles = {user_id: await serving(runtime, project_id, user_id) for user_id in events}
    yield Imported(path, project_id, report, events, profiles)


async def serving(runtime: Runtime, project_id: str, user_id: str) -> Profile:
    return await get_version(runtime.database, project_id, user_id, 1)


async def test_every_line_is_taken(imported: Imported) -> None:
    total = sum(len(events) for events in imported.events.values())
    report = imported.report
    assert (report.lines, report.accepted, report.rejected) == (total, total, 0)
    assert report.users == set(imported.events)


async def test_the_same_file_again_is_all_duplicates_and_asks_for_nothing(
    imported: Imported, runtime: Runtime, tmp_path: Path
) -> None:
    again = await import_into(runtime, imported.path, imported.project_id, tmp_path)
    assert (again.accepted, again.duplicates) == (0, imported.report.accepted)
    async with runtime.database.transaction(imported.project_id) as tx:
        waiting = (await tx.execute(text("select count(*) from regenerations"))).scalar_one()
    assert waiting == 0


async def test_every_eligible_user_has_a_profile_of_the_whole_history(
    imported: Imported, runtime: Runtime
) -> None:
    assert min(map(len, imported.events.values())) >= runtime.settings.min_interactions
    async with runtime.database.transaction(imported.project_id) as tx:
        rows = await tx.execute(
            text(
                "select count(*) from users u join profiles p using (project_id, user_id)"
                " where p.status = 'serving' and p.revision = u.revision"
            )
        )
    assert rows.scalar_one() == len(imported.events)


async def test_hardly_a_profile_has_nothing_to_say(imported: Imported) -> None:
    empty = [user_id for user_id, profile in imported.profiles.items() if not profile.statements]
    assert len(empty) <= SHARE_OF_EMPTY_PROFILES * len(imported.profiles)


async def test_every_statement_stands_on_events_of_that_very_user(imported: Imported) -> None:
    for user_id, profile in imported.profiles.items():
        for statement in profile.statements:
            assert statement.evidence, (user_id, statement)
            assert set(statement.evidence) <= imported.events[user_id], (user_id, statement)


async def test_every_profile_keeps_its_budget(imported: Imported, runtime: Runtime) -> None:
    budget = runtime.settings.profile_tokens
    for user_id, profile in imported.profiles.items():
        assert profile.tokens == estimate_tokens(profile.text), user_id
        assert profile.tokens <= budget, user_id
