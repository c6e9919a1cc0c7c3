"""The disk of Postgres is full: writers are put off, readers served, and it mends by itself.

As long as Postgres keeps running, that is: where it cannot extend its write-ahead log, it stops
(PANIC), and has to be started again once there is space.
"""

import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from service.db.session import Database, open_database
from tests.embedded_stacks import open_directory
from tests.faults.histories import (
    api_client,
    check_histories,
    check_profiles,
    retrying_writers,
    select,
    until_worked_off,
    user_names,
)
from tests.faults.private_stack import PrivateStack, private_stack_in
from tests.faults.processes import Processes, eventually, service_environment

pytestmark = pytest.mark.slow

USERS = list(user_names(12))
DISK = "200m"
REFUSALS = 20
ACKS_BEFORE_AND_AFTER = 100


@pytest.fixture
def small_disk() -> Iterator[Path]:
    with open_directory() as directory:
        options = ["-t", "tmpfs", "-o", f"size={DISK},mode=711", "tmpfs", str(directory)]
        try:
            subprocess.run(["mount", *options], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("only root, with the right to mount, can make a small disk")
        try:
            yield directory
        finally:
            subprocess.run(["umount", str(directory)], check=True)


@pytest.fixture
async def stack(small_disk: Path) -> AsyncIterator[PrivateStack]:
    async with private_stack_in(small_disk) as stack:
        yield stack


@pytest.fixture
async def database(stack: PrivateStack) -> AsyncIterator[Database]:
    database = open_database(stack.servers.app_url, pool_size=2)
    yield database
    await database.close()


async def test_a_full_disk_puts_writers_off_and_nobody_else(
    small_disk: Path,
    stack: PrivateStack,
    database: Database,
    processes: Processes,
    project_id: str,
) -> None:
    key = await stack.create_key(project_id)
    environment = service_environment(stack.servers)
    api = await processes.start_api(environment)
    worker = await processes.start_worker(environment)
    async with retrying_writers(api.url, key, 4, USERS) as ledger:
        await eventually(lambda: _all_profiled(database, project_id), 30)
        # Rejected writes leave a little in the log as well: it gets a whole new segment for them.
        await stack.switch_wal()
        await ledger.more_acks(ACKS_BEFORE_AND_AFTER)
        ballast = small_disk / "ballast"
        _fill(ballast)
        await eventually(lambda: ledger.answers[503] >= REFUSALS, 30)
        assert await _read_all(api.url, key) == {200}
        stack.flush_valkey()
        assert await _read_all(api.url, key) == {200}
        refused = ledger.answers[503]
        await eventually(lambda: ledger.answers[503] >= refused + REFUSALS, 30)
        ballast.unlink()
        await ledger.more_acks(ACKS_BEFORE_AND_AFTER)

    assert set(ledger.answers) == {200, 503}
    assert ledger.without_advice == 0
    await until_worked_off(database, project_id, seconds=30)
    await check_histories(database, project_id, ledger)
    await check_profiles(database, project_id)
    assert (api.running, worker.running) == (True, True)


async def _all_profiled(database: Database, project_id: str) -> bool:
    serving = "select 1 from profiles where status = 'serving'"
    return len(await select(database, project_id, serving)) == len(USERS)


def _fill(ballast: Path) -> None:
    """Write until not even a page is left."""
    size = 1 << 20
    with ballast.open("wb", buffering=0) as file:
        while size >= 4096:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2


async def _read_all(url: str, key: str) -> set[int]:
    async with api_client(url, key) as client:
        answers = [await client.get(f"/v1/users/{user_id}/profile") for user_id in USERS]
    return {answer.status_code for answer in answers}
