"""What must hold when everything is mended and all is worked off."""

from functools import partial
from typing import Any

import httpx2

from service.cache import Hit, NoHit
from service.runtime import Runtime
from tests.faults.histories import Ledger, check_histories, check_profiles, select
from tests.faults.processes import eventually
from tests.faults.soak.people import Corrections

# Tables in which something of a user can be; `erasures` holds digests.
_TABLES = ("users", "interactions", "profiles", "corrections", "regenerations")
_SECONDS = 20


async def check_untouched(
    runtime: Runtime, client: httpx2.AsyncClient, project_id: str, ledger: Ledger
) -> None:
    """Users that only wrote: every batch is kept once, every revision has one profile at most."""
    await check_histories(runtime.database, project_id, ledger)
    await check_profiles(runtime.database, project_id)
    await _check_served(runtime, client, project_id, ledger)


async def check_revised(
    runtime: Runtime,
    client: httpx2.AsyncClient,
    project_id: str,
    ledger: Ledger,
    corrections: dict[str, Corrections],
) -> None:
    """Users whose profiles were paused, corrected and rolled back: the corrections hold."""
    await check_histories(runtime.database, project_id, ledger)
    await _check_served(runtime, client, project_id, ledger)
    rows = await select(
        runtime.database,
        project_id,
        "select user_id, text, statements from profiles where status = 'serving'",
    )
    for row in rows:
        asked = corrections.get(row.user_id, Corrections((), ()))
        assert all(sentence in row.text for sentence in asked.pinned), row
        assert {s["id"] for s in row.statements}.isdisjoint(asked.suppressed), row


async def check_erased(runtime: Runtime, project_id: str, erased: list[str]) -> None:
    """Of users that left there is nothing but a receipt each."""
    for table in _TABLES:
        left = await select(runtime.database, project_id, f"select user_id from {table}")
        assert left == [], f"erased users are in {table}"
    receipts = await select(
        runtime.database, project_id, "select distinct user_digest from erasures"
    )
    assert len(receipts) == len(erased)
    for user_id in erased:
        answer = await runtime.cache.read(project_id, user_id)
        assert not isinstance(answer, Hit) or answer.entry.version == 0, user_id


async def _check_served(
    runtime: Runtime, client: httpx2.AsyncClient, project_id: str, ledger: Ledger
) -> None:
    """Every user has one serving profile, of the newest revision, in Postgres, cache and API."""
    rows = await select(
        runtime.database,
        project_id,
        "select user_id, version, revision from profiles where status = 'serving'",
    )
    assert {row.user_id: row.revision for row in rows} == dict(ledger.batches)
    for row in rows:
        await eventually(partial(_is_served, client, row), _SECONDS, partial(str, row))
        answer = await runtime.cache.read(project_id, row.user_id)
        # Blocked: a pause was not long ago, and the API asks Postgres.
        if answer is not NoHit.BLOCKED:
            assert isinstance(answer, Hit), row
            assert (answer.entry.version, answer.revision) == (row.version, row.revision)


async def _is_served(client: httpx2.AsyncClient, row: Any) -> bool:
    profile = (await client.get(f"/v1/users/{row.user_id}/profile")).json()
    return (profile["version"], profile["stale"]) == (row.version, False)
