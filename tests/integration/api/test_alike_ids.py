"""Ids that look alike, and ids that meet where they are joined, keep apart in every store."""

import unicodedata
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import quote, unquote
from uuid import uuid4

import httpx2
from hypothesis import strategies as st

from service.cache import Entry, ProfileCache
from service.db.interactions import NewInteraction
from service.domain.interaction import identifier_problem
from service.flows.ingest import IdempotentRequest, IngestResult, ingest, ingest_once
from service.flows.read_history import read_history
from service.runtime import Runtime
from tests.fuzzing import for_all
from tests.histories import AT_ONCE, event
from tests.integration.api.calls import event as event_document
from tests.integration.api.calls import post, problem

# Separators, escapes, joiners, marks of direction, combining marks, ligatures, lookalikes.
TRICKY = [
    *":;,.|&=?#%+*'\"\\{}[]()<>$@!^~` _-aAbB01",
    *("%00", "\\x00", "\\u0000", "%25", "%2F", "\u00a0", "\u200b", "\u200d", "\u200f", "\u202e"),
    *("\u2066", "\ufeff", "é", "e\u0301", "ﬀ", "ff", "ß", "ss", "İ", "i\u0307", "\u0131", "\u212a"),
    *("Å", "\u212b", "\u0430", "\uff41", "\u0661", "1", "日本", "한", "\u1112\u1161\u11ab", "🍜"),
    *("👩\u200d👩\u200d👧", "🇳🇴", "\U0001f3fd", "\uffff", "\U0010ffff", "عربى", "नि"),
]
TEXTS = st.lists(
    st.sampled_from(TRICKY) | st.characters(codec="utf-8"), min_size=1, max_size=8
).map("".join)
CHANGES: list[Callable[[str], str]] = [
    *(partial(unicodedata.normalize, form) for form in ("NFC", "NFD", "NFKC", "NFKD")),
    *(str.lower, str.upper, str.casefold, str.swapcase, str.strip, quote, unquote),
    *(" {}".format, "{} ".format, "{}:".format, "{}%00".format, "{}\u200b".format),
    *("{}\u0301".format, "{}=".format, "{0}{0}".format),
    *(lambda text: text[:-1], lambda text: text[1:], lambda text: text[::-1]),
    lambda text: text.replace("a", "\u0430"),
]


@st.composite
def alike(draw: st.DrawFn) -> tuple[str, str]:
    """Two texts, one made of the other by a change that many programs do not see."""
    first = draw(TEXTS)
    return first, draw(st.sampled_from(CHANGES))(first)


@st.composite
def halved(draw: st.DrawFn) -> tuple[tuple[str, str], tuple[str, str]]:
    """Two pairs that are the same text when joined."""
    text = draw(TEXTS.filter(lambda text: len(text) > 2))
    places = st.integers(1, len(text) - 1)
    here, there = draw(st.lists(places, min_size=2, max_size=2, unique=True))
    return (text[:here], text[here:]), (text[:there], text[there:])


def is_identifier(text: str) -> bool:
    return identifier_problem(text, 256) is None


def are_two_identifiers(pair: tuple[str, str]) -> bool:
    return pair[0] != pair[1] and all(map(is_identifier, pair))


async def test_users_that_look_alike_keep_apart(
    client: httpx2.AsyncClient, runtime: Runtime, project_id: str
) -> None:
    async def check(pair: tuple[str, str]) -> None:
        head = uuid4().hex[:8]
        first, second = (head + text for text in pair)
        users = {first: "first", second: "second"}
        await post(client, *(event_document(1, u, event_id="1", text=t) for u, t in users.items()))
        for user_id, text in users.items():
            await cache(runtime.cache, project_id, user_id, text.encode())
        for user_id, text in users.items():
            assert await texts(client, user_id) == [text]
            assert (await client.get(path(user_id, "profile"))).text == text
        assert (await client.delete(path(first))).is_success
        problem(await client.get(path(first, "profile")), 404, "user-not-found")
        assert (await client.get(path(second, "profile"))).text == "second"
        assert await texts(client, second) == ["second"]

    pairs = alike().filter(are_two_identifiers).filter(lambda pair: "/" not in "".join(pair))
    await for_all(pairs, check, examples=60)


async def test_projects_that_look_alike_keep_apart(runtime: Runtime) -> None:
    slugs = st.text("ab01-_", min_size=1, max_size=4)

    async def check(tails: tuple[str, str]) -> None:
        head = uuid4().hex[:8]
        first, second = (head + tail for tail in tails)
        for project_id in (first, second):
            await ingest(runtime.database, runtime.cache, project_id, [event(head, 1)], AT_ONCE)
            await cache(runtime.cache, project_id, head, project_id.encode())
        await runtime.cache.block(first, head, 60)
        served = await runtime.reader.read(second, head)
        assert served and served.body == second.encode()
        assert await runtime.reader.read(first, head) is None

    pairs = st.tuples(slugs, slugs).filter(lambda pair: pair[0] != pair[1])
    await for_all(pairs, check, examples=40)


async def test_where_project_and_user_meet_is_part_of_the_name(runtime: Runtime) -> None:
    async def check(pairs: tuple[tuple[str, str], tuple[str, str]]) -> None:
        head = uuid4().hex[:8]
        owners = {(head + project_id, user_id) for project_id, user_id in pairs}
        for owner in owners:
            await cache(runtime.cache, *owner, repr(owner).encode())
        for owner in owners:
            served = await runtime.reader.read(*owner)
            assert served and served.body == repr(owner).encode()

    await for_all(halved(), check, examples=40)


async def test_where_source_and_event_id_meet_is_too(runtime: Runtime, project_id: str) -> None:
    async def check(pairs: tuple[tuple[str, str], tuple[str, str]]) -> None:
        user_id = uuid4().hex
        sent = [event(user_id, 1)._replace(source=s, event_id=e) for s, e in pairs]
        result = await store(runtime, project_id, sent)
        assert [item.status for item in result.items] == ["accepted", "accepted"]
        assert await pages(runtime, project_id, user_id) == sorted(pairs, reverse=True)

    valid = halved().filter(lambda pairs: all(map(is_identifier, (*pairs[0], *pairs[1]))))
    await for_all(valid, check, examples=40)


async def test_idempotency_keys_that_look_alike_keep_apart(
    runtime: Runtime, project_id: str
) -> None:
    async def check(pair: tuple[str, str]) -> None:
        head = uuid4().hex[:8]
        keys = [head + text for text in pair]
        for replays in (False, True):
            for number, key in enumerate(keys):
                request = IdempotentRequest(key, bytes([number]))
                sent = [event(head, number)]
                _, replayed = await ingest_once(
                    runtime.database, runtime.cache, project_id, sent, AT_ONCE, request=request
                )
                assert replayed is replays

    await for_all(alike().filter(are_two_identifiers), check, examples=40)


async def cache(cache: ProfileCache, project_id: str, user_id: str, body: bytes) -> None:
    token = await cache.begin_write(project_id, user_id)
    entry = Entry(project_id, user_id, 1, 1, body, body, '"f"', '"s"', b"[]")
    assert await cache.store(entry, revision=1, token=token)


async def store(runtime: Runtime, project_id: str, sent: list[NewInteraction]) -> IngestResult:
    return await ingest(runtime.database, runtime.cache, project_id, sent, AT_ONCE)


async def texts(client: httpx2.AsyncClient, user_id: str) -> list[Any]:
    response = await client.get(path(user_id, "interactions"))
    return [interaction["text"] for interaction in response.json()["interactions"]]


async def pages(runtime: Runtime, project_id: str, user_id: str) -> list[tuple[str, str]]:
    """(source, event_id) of every interaction, read one a page."""
    found, before = [], None
    while page := await read_history(runtime.database, project_id, user_id, before=before, limit=1):
        found.append((page[0].source, page[0].event_id))
        before = (page[0].occurred_at, page[0].source, page[0].event_id)
    return found


def path(user_id: str, *rest: str) -> httpx2.URL:
    quoted = "".join(f"%{byte:02X}" for byte in user_id.encode())
    raw = "/".join(["/v1/users", quoted, *rest])
    return httpx2.URL("http://bump.test").copy_with(raw_path=raw.encode())
