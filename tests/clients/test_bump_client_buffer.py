"""The client's buffer: few requests, bounded memory, and nothing lost without a word."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import httpx2
import pytest

from bump_client import (
    AsyncBump,
    ConnectionFailed,
    Failure,
    Interaction,
    InteractionsRejected,
    Unauthenticated,
    Undelivered,
)
from tests.clients.either_client import EitherClient, add_all, buffering, either_client
from tests.faults.processes import eventually
from tests.integration.api.calls import get


class Store:
    """An API that stores what it gets; `down` it cannot be reached, `open` unset it hangs.

    A text of `bad` is rejected.
    """

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.down = False
        self.refuses = False
        self.open = threading.Event()
        self.open.set()

    @property
    def texts(self) -> list[str]:
        return [text for batch in self.batches for text in batch]

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        if self.down:
            raise httpx2.ConnectError("refused")
        if self.refuses:
            return httpx2.Response(401)
        items = json.loads(request.content)["interactions"]
        self.batches.append([item["text"] for item in items])
        results = [_result(item) for item in items]
        counts = {"accepted": 0, "duplicates": 0, "rejected": 0}
        return httpx2.Response(200, json={**counts, "results": results, "users": []})


def _result(item: dict[str, Any]) -> dict[str, Any]:
    bad = item["text"] == "bad"
    return {
        "status": "rejected" if bad else "accepted",
        "user_id": item["user_id"],
        "event_id": item["event_id"],
        "reason": "text: is bad" if bad else None,
    }


def said(*texts: str) -> list[Interaction]:
    return [Interaction(user_id="ana", text=text) for text in texts]


def texts(*failures: Failure) -> list[str]:
    return [item.text for failure in failures for item in failure.interactions]


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
async def buffered(kind: str, store: Store) -> AsyncIterator[Any]:
    """`buffered(**options)`: the block of a buffer before the store."""

    def on_a_thread(request: httpx2.Request) -> httpx2.Response:
        store.open.wait()
        return store.answer(request)

    async def on_the_loop(request: httpx2.Request) -> httpx2.Response:
        return await asyncio.to_thread(on_a_thread, request)

    handler = on_a_thread if kind == "sync" else on_the_loop
    transport = httpx2.MockTransport(handler)
    async with either_client(kind, deadline=1, transport=transport) as bump:

        @asynccontextmanager
        async def block(**options: Any) -> AsyncIterator[Any]:
            async with buffering(bump, **options) as buffer:
                yield buffer

        yield block


async def test_what_was_added_is_sent_together_at_the_end_of_the_block(
    buffered: Any, store: Store
) -> None:
    async with buffered() as buffer:
        await add_all(buffer, said("a", "b", "c"))
        assert store.batches == []
    assert store.batches == [["a", "b", "c"]]


async def test_it_is_sent_when_enough_waits(buffered: Any, store: Store) -> None:
    async with buffered(flush_items=2, flush_seconds=60) as buffer:
        await add_all(buffer, said("a", "b"))
        await eventually(lambda: store.texts == ["a", "b"], 5)


async def test_it_is_sent_when_the_first_has_waited_long_enough(
    buffered: Any, store: Store
) -> None:
    async with buffered(flush_seconds=0.2) as buffer:
        began = monotonic()
        await add_all(buffer, said("a"))
        await eventually(lambda: store.texts == ["a"], 5)
        assert monotonic() - began >= 0.2


async def test_a_flush_waits_until_what_was_added_is_stored(buffered: Any, store: Store) -> None:
    async with buffered(flush_seconds=60) as buffer:
        await buffer.flush()
        await add_all(buffer, said("a", "b"))
        await buffer.flush()
        assert store.batches == [["a", "b"]]


async def test_a_flush_raises_what_could_not_be_stored_and_the_buffer_goes_on(
    buffered: Any, store: Store
) -> None:
    async with buffered(flush_seconds=60) as buffer:
        store.refuses = True
        await add_all(buffer, said("a"))
        with pytest.raises(Undelivered) as undelivered:
            await buffer.flush()
        assert texts(*undelivered.value.failures) == ["a"]
        store.refuses = False
        await add_all(buffer, said("b"))
    assert store.texts == ["b"]


async def test_what_raises_within_the_block_does_not_keep_it_from_being_sent(
    buffered: Any, store: Store
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with buffered() as buffer:
            await add_all(buffer, said("a"))
            raise ZeroDivisionError
    assert store.texts == ["a"]


async def test_who_adds_waits_while_it_is_full(buffered: Any, store: Store) -> None:
    store.open.clear()
    async with buffered(flush_items=1, capacity=2) as buffer:
        await add_all(buffer, said("a", "b"))
        third = asyncio.ensure_future(buffer.add(*said("c")))
        assert not (await asyncio.wait({third}, timeout=0.1))[0]
        store.open.set()
        await third
    assert store.texts == ["a", "b", "c"]


async def test_what_cannot_be_stored_is_given_to_whoever_asked_for_it(
    buffered: Any, store: Store
) -> None:
    given: list[Failure] = []
    store.down = True
    async with buffered(flush_items=1, on_failure=given.append) as buffer:
        await add_all(buffer, said("a"))
        await eventually(lambda: texts(*given) == ["a"], 5)
        store.down = False
        await add_all(buffer, said("b"))
    assert isinstance(given[0].error, ConnectionFailed)
    assert store.texts == ["b"]


async def test_or_else_raised_at_the_end(buffered: Any, store: Store) -> None:
    store.down = True
    with pytest.raises(Undelivered, match="2 interactions") as undelivered:
        async with buffered() as buffer:
            await add_all(buffer, said("a", "b"))
    assert texts(*undelivered.value.failures) == ["a", "b"]


async def test_also_where_the_callback_fails(buffered: Any, store: Store) -> None:
    def on_failure(failure: Failure) -> None:
        raise OSError("disk full")

    store.down = True
    with pytest.raises(Undelivered) as undelivered:
        async with buffered(on_failure=on_failure) as buffer:
            await add_all(buffer, said("a"))
    (failure,) = undelivered.value.failures
    assert "disk full" in failure.error.__notes__[0]


async def test_a_rejected_item_is_no_less_a_failure_and_the_only_one(
    buffered: Any, store: Store
) -> None:
    with pytest.raises(Undelivered, match="is bad") as undelivered:
        async with buffered() as buffer:
            await add_all(buffer, said("a", "bad", "c"))
    (failure,) = undelivered.value.failures
    assert texts(failure) == ["bad"]
    assert isinstance(failure.error, InteractionsRejected)


async def test_one_full_of_failures_takes_no_more(buffered: Any, store: Store) -> None:
    store.refuses = True
    with pytest.raises(Undelivered) as at_the_end:
        async with buffered(flush_items=1, capacity=2) as buffer:
            await add_all(buffer, said("a", "b"))
            with pytest.raises(Undelivered):
                await buffer.add(*said("c"))
    assert texts(*at_the_end.value.failures) == ["a", "b"]
    assert isinstance(at_the_end.value.failures[0].error, Unauthenticated)


async def test_the_end_does_not_wait_for_every_batch_to_fail(buffered: Any, store: Store) -> None:
    given: list[Failure] = []
    store.down = True
    began = monotonic()
    async with buffered(on_failure=given.append) as buffer:
        await add_all(buffer, (said("x")[0] for _ in range(5_000)))
        began = monotonic()
    assert len(texts(*given)) == 5_000
    assert monotonic() - began < 3


async def test_what_was_made_unwritable_meanwhile_is_raised_with_all_that_waits(
    buffered: Any,
) -> None:
    spoilt = Interaction(user_id="ana", text="b", attributes={"n": 1})
    with pytest.raises(Undelivered) as undelivered:
        async with buffered() as buffer:
            await add_all(buffer, [*said("a"), spoilt])
            spoilt.attributes["n"] = object()  # type: ignore[assignment]
    assert texts(*undelivered.value.failures) == ["a", "b"]


async def test_one_that_is_not_open_takes_nothing(buffered: Any) -> None:
    async with buffered() as buffer:
        pass
    with pytest.raises(RuntimeError, match="with"):
        await buffer.add(*said("a"))


async def test_who_is_cancelled_while_closing_is_told_what_is_not_stored(store: Store) -> None:
    given: list[Failure] = []

    async def hang(request: httpx2.Request) -> httpx2.Response:
        await asyncio.Event().wait()
        raise AssertionError("nobody ends the wait")

    async def program() -> None:
        async with (
            AsyncBump(transport=httpx2.MockTransport(hang)) as bump,
            bump.buffer(on_failure=given.append) as buffer,
        ):
            await add_all(buffer, said("a", "b"))

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(program(), 0.3)
    await eventually(lambda: texts(*given) == ["a", "b"], 5)


async def test_many_threads_or_tasks_may_add_and_the_real_api_has_it_all(
    bump: EitherClient, client: httpx2.AsyncClient
) -> None:
    async with buffering(bump, flush_items=20, capacity=50) as buffer:
        await asyncio.gather(
            *(add_all(buffer, said(*(f"{n}-{i}" for i in range(30)))) for n in range(8))
        )
    stored = (await get(client, "/v1/users/ana/interactions", limit=500))["interactions"]
    assert sorted(item["text"] for item in stored) == sorted(
        f"{n}-{i}" for n in range(8) for i in range(30)
    )
