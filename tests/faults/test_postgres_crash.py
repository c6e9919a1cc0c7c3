"""`kill -9` of Postgres under writers: the API says when to come back, and needs no restart."""

from service.db.session import open_database
from tests.faults.histories import check_histories, retrying_writers, user_names
from tests.faults.private_stack import PrivateStack
from tests.faults.processes import Processes, eventually, service_environment

WRITERS = 6
ACKS_BEFORE_AND_AFTER = 200


async def test_a_postgres_killed_under_writers_loses_nothing_acknowledged(
    private_stack: PrivateStack, processes: Processes, project_id: str
) -> None:
    key = await private_stack.create_key(project_id)
    api = await processes.start_api(service_environment(private_stack.servers))
    async with retrying_writers(api.url, key, WRITERS, list(user_names(12))) as ledger:
        await eventually(lambda: len(ledger.acked) >= ACKS_BEFORE_AND_AFTER, 30)
        private_stack.kill_postgres()
        await eventually(lambda: ledger.answers[503] >= WRITERS, 30)
        acked_before = len(ledger.acked)
        await private_stack.restart()
        target = acked_before + ACKS_BEFORE_AND_AFTER
        await eventually(lambda: len(ledger.acked) >= target, 30)

    assert set(ledger.answers) == {200, 503}
    assert ledger.without_advice == 0
    assert api.running
    database = open_database(private_stack.servers.app_url, pool_size=2)
    try:
        await check_histories(database, project_id, ledger)
    finally:
        await database.close()
