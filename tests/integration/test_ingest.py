"""Taking interactions in: each once, whatever is sent again, out of order or at the same time."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from service.cache import Hit
from service.db import interactions, users
from service.db.interactions import NewInteraction
from service.domain.interaction import history_order
from service.errors import IdempotencyKeyReused
from service.flows.ingest import (
    IdempotentRequest,
    Rejection,
    ingest,
    ingest_once,
)
from service.flows.parse import MAX_KEY_BYTES, parse_interaction
from service.runtime import Runtime
from tests.histories import AT_ONCE, Add, Sql, event, events, statuses

HISTORY = "select source, event_id, occurred_at, text from interactions where user_id = :user_id"
REQUESTED = "select requested_revision from regenerations where user_id = :user_id"
Send = Callable[..., Awaitable[tuple[str, bool]]]
BAD = Rejection("u1", None, "text: is empty, and there are no attributes either")


class TestDuplicates:
    async def test_the_same_batch_again_is_all_duplicates(self, add: Add, sql: Sql) -> None:
        first = await add(events("u1"))
        again = await add(events("u1"))
        assert statuses(first) == ["accepted"] * 5
        assert statuses(again) == ["duplicate"] * 5
        assert len(await sql(HISTORY, user_id="u1")) == 5

    async def test_the_first_text_of_an_event_stays(self, add: Add, sql: Sql) -> None:
        await add([event("u1", 1, text="first")])
        await add([event("u1", 1, text="second")])
        assert [row.text for row in await sql(HISTORY, user_id="u1")] == ["first"]

    async def test_within_a_batch_the_first_one_counts(self, add: Add) -> None:
        result = await add([event("u1", 1), event("u1", 2), event("u1", 1)])
        assert statuses(result) == ["accepted", "accepted", "duplicate"]
        assert result.revisions == {"u1": 1}

    async def test_within_a_batch_the_first_text_stays(self, add: Add, sql: Sql) -> None:
        rounds = ("first", "second", "third")
        await add([event("u1", number, text=text) for text in rounds for number in range(100)])
        stored = await sql(HISTORY, user_id="u1")
        assert [row.text for row in stored] == ["first"] * 100

    async def test_the_same_event_id_of_another_source_is_another_event(self, add: Add) -> None:
        result = await add([event("u1", 1, source="web"), event("u1", 1, source="mail")])
        assert statuses(result) == ["accepted", "accepted"]

    async def test_the_same_event_of_another_user_is_another_event(self, add: Add) -> None:
        assert statuses(await add([event("u1", 1), event("u2", 1)])) == ["accepted", "accepted"]

    async def test_the_same_event_of_another_project_is_another_event(
        self, add: Add, runtime: Runtime, elsewhere: str
    ) -> None:
        await add([event("u1", 1)])
        result = await ingest(runtime.database, runtime.cache, elsewhere, [event("u1", 1)], AT_ONCE)
        assert statuses(result) == ["accepted"]
        assert result.revisions == {"u1": 1}


class TestRevisions:
    async def test_a_batch_raises_a_users_revision_by_one(self, add: Add) -> None:
        assert (await add(events("u1", range(3)))).revisions == {"u1": 1}
        assert (await add(events("u1", range(3, 9)))).revisions == {"u1": 2}

    async def test_only_users_with_new_rows_get_a_new_revision(self, add: Add, sql: Sql) -> None:
        await add(events("u1") + events("u2"))
        result = await add(events("u1") + events("u2", range(6)) + events("u3"))
        assert result.revisions == {"u1": 1, "u2": 2, "u3": 1}
        stored = await sql("select user_id, revision, interaction_count from users order by 1")
        assert [tuple(row) for row in stored] == [("u1", 1, 5), ("u2", 2, 6), ("u3", 1, 5)]

    async def test_readers_learn_of_a_revision_and_duplicates_tell_nothing_new(
        self, add: Add, runtime: Runtime, project_id: str
    ) -> None:
        await add(events("u1"))
        assert await runtime.reader.read(project_id, "u1") is None  # fills the cache
        await add(events("u1"))
        unchanged = await runtime.cache.read(project_id, "u1")
        await add(events("u1", [7]))
        raised = await runtime.cache.read(project_id, "u1")
        assert isinstance(unchanged, Hit) and isinstance(raised, Hit)
        assert (unchanged.revision, raised.revision) == (1, 2)

    async def test_a_batch_sent_again_tells_readers_what_its_first_answer_did_not(
        self, add: Add, runtime: Runtime, project_id: str
    ) -> None:
        await add(events("u1"))
        assert await runtime.reader.read(project_id, "u1") is None  # fills the cache
        async with runtime.database.transaction(project_id) as tx:  # and nothing is announced
            await interactions.insert_new(tx, [event("u1", 7)], AT_ONCE)
        await add([event("u1", 7)])
        answer = await runtime.cache.read(project_id, "u1")
        assert isinstance(answer, Hit) and answer.revision == 2

    async def test_new_rows_ask_for_a_regeneration_and_duplicates_do_not(
        self, add: Add, sql: Sql
    ) -> None:
        await add(events("u1"))
        assert [row.requested_revision for row in await sql(REQUESTED, user_id="u1")] == [1]
        await sql("delete from regenerations")
        await add(events("u1"))
        assert await sql(REQUESTED, user_id="u1") == []


class TestOrder:
    async def test_arrival_order_changes_no_row_and_no_history(
        self, add: Add, runtime: Runtime, project_id: str
    ) -> None:
        sent = events("in order", range(20))
        shuffled = [item._replace(user_id="shuffled") for item in sent]
        random.Random(7).shuffle(shuffled)
        for start in range(0, 20, 5):
            await add(sent[start : start + 5])
            await add(shuffled[start : start + 5])
        async with runtime.database.transaction(project_id) as tx:
            histories = [
                await interactions.latest(tx, user, revision=4, limit=12)
                for user in ("in order", "shuffled")
            ]
        ids = [[i.event_id for i in history] for history in histories]
        assert ids[0] == ids[1] == [f"e{n:04}" for n in range(8, 20)]

    async def test_sql_and_python_agree_on_the_order_of_equal_times(
        self, add: Add, runtime: Runtime, project_id: str
    ) -> None:
        names = ["a", "B", "ä", "Z", "-", "_", "1", "10", "2", "用户", "\U0001f35c"]
        same_time = event("u1", 1)
        await add([same_time._replace(source=s, event_id=e) for s in names[:3] for e in names])
        async with runtime.database.transaction(project_id) as tx:
            history = await interactions.latest(tx, "u1", revision=1, limit=100)
        assert list(history) == sorted(history, key=history_order)

    async def test_results_stand_in_the_order_of_the_items(self, add: Add) -> None:
        await add([event("u2", 2)])
        result = await add([event("u3", 1), BAD, event("u2", 2), event("u1", 1)])
        assert statuses(result) == ["accepted", "rejected", "duplicate", "accepted"]
        assert [item.user_id for item in result.items] == ["u3", "u1", "u2", "u1"]


class TestBadItems:
    async def test_one_sinks_nothing_and_says_why(self, add: Add, sql: Sql) -> None:
        result = await add([event("u1", 1), BAD, event("u1", 2)])
        assert statuses(result) == ["accepted", "rejected", "accepted"]
        assert result.items[1].reason == BAD.reason
        assert len(await sql(HISTORY, user_id="u1")) == 2

    async def test_only_bad_ones_make_no_user(self, add: Add, sql: Sql) -> None:
        assert (await add([BAD, BAD])).revisions == {}
        assert await sql("select user_id from users") == []

    async def test_what_parsing_accepts_the_tables_can_hold(self, add: Add) -> None:
        # Astral characters take four bytes each and do not compress: the longest index row.
        wide = [chr(0x1F300 + n * 37 % 700) for n in range(MAX_KEY_BYTES // 4)]
        document = {"user_id": "".join(wide[:200]), "text": "tea"}
        document |= {"source": "".join(wide[200:400]), "event_id": "".join(wide[400:])}
        item = parse_interaction(document)
        assert isinstance(item, NewInteraction)
        assert statuses(await add([item])) == ["accepted"]
        too_long = parse_interaction(document | {"source": document["source"] + "x"})
        assert isinstance(too_long, Rejection) and "the limit is 2500" in too_long.reason


async def test_overlapping_batches_at_once_lose_nothing_and_wait_for_nobody_forever(
    add: Add, sql: Sql
) -> None:
    chance = random.Random(11)
    users = [f"u{n}" for n in range(30)]

    def batch(number: int) -> list[NewInteraction]:
        # Every event is sent by two of the batches, in a different order of users each.
        chosen = [event(user, number // 2) for user in users]
        chance.shuffle(chosen)
        return chosen

    results = await asyncio.gather(*(add(batch(number)) for number in range(20)))
    accepted = sum(statuses(result).count("accepted") for result in results)
    assert accepted == 30 * 10
    stored = await sql("select user_id, revision, interaction_count from users")
    assert {(row.revision, row.interaction_count) for row in stored} == {(10, 10)}
    assert len(await sql("select 1 from interactions")) == 300


async def test_writers_of_a_busy_user_leave_connections_to_everybody_else(
    add: Add, runtime: Runtime, project_id: str
) -> None:
    await add([event("busy", 0)])
    async with runtime.database.transaction(project_id) as tx:
        await users.lock(tx, "busy")
        waiting = [
            asyncio.create_task(add([event("busy", number)]))
            for number in range(1, 2 * runtime.settings.database_pool_size)
        ]
        assert statuses(await add([event("other", 0)])) == ["accepted"]
        assert not any(task.done() for task in waiting)
    results = await asyncio.gather(*waiting)
    assert [result.revisions["busy"] for result in results] == list(range(2, len(results) + 2))


class TestIdempotencyKey:
    @pytest.fixture
    def send(self, runtime: Runtime, project_id: str) -> Send:
        async def send_once(
            items: list[NewInteraction], key: str = "key", asked: bytes = b"asked"
        ) -> tuple[str, bool]:
            result, replayed = await ingest_once(
                runtime.database,
                runtime.cache,
                project_id,
                items,
                AT_ONCE,
                request=IdempotentRequest(key, asked),
            )
            return f"accepted {statuses(result).count('accepted')}", replayed

        return send_once

    async def test_the_same_request_again_gets_the_first_answer(self, send: Send) -> None:
        first = await send(events("u1"))
        assert first == ("accepted 5", False)
        assert await send(events("u1")) == ("accepted 5", True)

    async def test_a_replay_names_the_same_items_and_revisions(
        self, runtime: Runtime, project_id: str
    ) -> None:
        refused = Rejection("u9", "e9", "text: is empty")
        mixed = [refused, *events("u2"), *events("u1"), *events("u1")]
        request = IdempotentRequest("key", b"asked")
        (first, _), (again, replayed) = [
            await ingest_once(
                runtime.database, runtime.cache, project_id, mixed, AT_ONCE, request=request
            )
            for _ in range(2)
        ]
        assert replayed
        assert again == first

    async def test_another_request_with_the_key_is_refused(self, send: Send, sql: Sql) -> None:
        await send(events("u1"))
        with pytest.raises(IdempotencyKeyReused):
            await send(events("u2"), asked=b"something else")
        assert await sql(HISTORY, user_id="u2") == []

    async def test_a_key_is_free_again_after_a_day(self, send: Send, sql: Sql) -> None:
        await send(events("u1"))
        await sql("update idempotency_keys set created_at = now() - interval '25 hours'")
        assert await send(events("u2"), asked=b"something else") == ("accepted 5", False)

    async def test_requests_at_once_with_one_key_run_once(self, send: Send, sql: Sql) -> None:
        answers = await asyncio.gather(*(send(events("u1")) for _ in range(8)))
        assert sorted(replayed for _, replayed in answers) == [False] + [True] * 7
        assert {said for said, _ in answers} == {"accepted 5"}
        assert [r.revision for r in await sql("select revision from users")] == [1]

    async def test_a_request_that_failed_did_not_take_the_key(self, send: Send) -> None:
        unstorable = event("u1", 1)._replace(attributes_json="no JSON")
        with pytest.raises(Exception, match="invalid input syntax"):
            await send([unstorable])
        assert await send(events("u1")) == ("accepted 5", False)
