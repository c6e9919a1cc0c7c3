"""Our own Python client, sync and async, against the real API."""

import asyncio
import json
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from pydantic import ValidationError

import bump_client
from bump_client import (
    Conflict,
    DownstreamError,
    Forbidden,
    Interaction,
    NotFound,
    Unauthenticated,
    Unprocessable,
)
from bump_client.errors import Reply, problem_error
from service import errors
from service.api.problems import problem_document
from service.worker import Worker
from tests.clients.either_client import EitherClient, either_client, exported, listed, streamed
from tests.conftest import ApiKeyMaker
from tests.faults.processes import ApiProcess
from tests.integration.api.calls import START, get, history, work_off, write_profile


def interactions(count: int, user_id: str = "ana") -> list[Interaction]:
    return [Interaction(**event) for event in history(count, user_id)]


async def while_working(worker: Worker, asked: Awaitable[Any]) -> Any:
    """The answer to a call that waits for the worker."""
    waiting = asyncio.ensure_future(asked)
    while not waiting.done():
        await work_off(worker)
        await asyncio.wait({waiting}, timeout=0.02)
    return waiting.result()


async def test_every_item_has_its_result(bump: EitherClient) -> None:
    (first,) = interactions(1)
    found = await bump.add_interactions([first, first, Interaction(user_id="a/b", text="Hi.")])
    assert [item.status for item in found.results] == ["accepted", "duplicate", "rejected"]
    assert (found.accepted, found.duplicates, found.rejected) == (1, 1, 1)
    assert found.results[2].reason.startswith("user_id: ")
    assert found.revision("ana") == 1


async def test_what_is_more_than_a_request_may_hold_goes_in_several(bump: EitherClient) -> None:
    many = [Interaction(user_id=f"u{n % 7}", text="Baked bread.") for n in range(1_100)]
    large = [Interaction(user_id="ana", text="ä" * 15_000) for _ in range(20)]
    found = await bump.add_interactions(many + large)
    assert found.accepted == 1_120
    assert [item.event_id for item in found.results] == [sent.event_id for sent in many + large]
    assert {user.user_id for user in found.users} == {"ana", *(f"u{n}" for n in range(7))}
    assert found.revision("u0") == 2


async def test_of_nothing_there_is_an_empty_result(bump: EitherClient) -> None:
    assert (await bump.add_interactions([])).results == []


async def test_the_same_objects_again_are_duplicates_though_nobody_named_them(
    bump: EitherClient,
) -> None:
    unnamed = [
        Interaction(user_id="ana", text="Baked bread."),
        Interaction(user_id="ana", text="!"),
    ]
    await bump.add_interactions(unnamed)
    assert (await bump.add_interactions(unnamed)).duplicates == 2


@pytest.mark.parametrize(
    "wrong", [{"text": "x" * 32_001}, {"text": "\ud800"}, {"attributes": {"n": float("nan")}}]
)
def test_what_would_sink_a_whole_batch_cannot_be_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Interaction(user_id="ana", **wrong)


async def test_an_interaction_is_stored_as_it_was_made(
    bump: EitherClient, client: httpx2.AsyncClient
) -> None:
    made = Interaction(user_id="ana", text="Bread.", attributes={"a": None, "b": [1, {"c": "é"}]})
    await bump.add_interactions([made])
    (stored,) = (await get(client, "/v1/users/ana/interactions"))["interactions"]
    assert (
        Interaction(user_id="ana", **{k: v for k, v in stored.items() if k != "revision"}) == made
    )


async def test_a_profile_that_has_read_ones_own_writes(bump: EitherClient, worker: Worker) -> None:
    stored = await bump.add_interactions(interactions(6))
    waiting = bump.profile("ana", min_revision=stored.revision("ana"), wait=30)
    profile = await while_working(worker, waiting)
    assert (profile.user_id, profile.version, profile.revision) == ("ana", 1, 1)
    assert profile.stale is False
    assert profile.statements[0].evidence


async def test_a_profile_that_is_known_and_current_is_given_back(
    bump: EitherClient, client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    known = await bump.profile("ana")
    assert await bump.profile("ana", known=known) is known
    await bump.add_interactions([Interaction(user_id="ana", text="More.")])
    newer = await bump.profile("ana", known=known)
    assert (newer.version, newer.stale) == (1, True)


async def test_a_history_too_short_for_a_profile_has_none(bump: EitherClient) -> None:
    await bump.add_interactions(interactions(2))
    assert await bump.profile("ana") is None


async def test_an_unknown_user_is_an_error(bump: EitherClient) -> None:
    with pytest.raises(NotFound) as unknown:
        await bump.profile("nobody")
    error = unknown.value
    assert error.type == "https://bump.dev/problems/user-not-found"
    assert (error.status, error.title) == (404, "No such user")
    assert str(error) == f"{error.title}: {error.detail}"
    assert error.problem["detail"] == error.detail


async def test_a_paused_user_and_a_revision_out_of_reach_are_conflicts(
    bump: EitherClient, client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    await bump.add_interactions([Interaction(user_id="ana", text="More.")])
    with pytest.raises(Conflict) as behind:
        await bump.profile("ana", min_revision=2)
    assert behind.value.problem["revision"] == 1
    await client.put("/v1/users/ana/profiling", json={"profiling": "paused"})
    with pytest.raises(Conflict, match="paused"):
        await bump.profile("ana")


async def test_ids_that_look_alike_are_different_users(bump: EitherClient) -> None:
    ids = ["a", "a%", "a%25", "%41", "a:b", "a&b=c", "a+b", "a b", "a?b", "a#b", "é", "日本", "..."]
    await bump.add_interactions(Interaction(user_id=user_id, text="Hi.") for user_id in ids)
    for user_id in ids:
        assert json.loads(await exported(bump, user_id))["user_id"] == user_id


@pytest.mark.parametrize("user_id", ["", ".", ".."])
async def test_an_id_that_would_be_another_path_is_refused(
    bump: EitherClient, user_id: str
) -> None:
    with pytest.raises(ValueError, match="user_id"):
        await bump.erase(user_id)


async def test_versions_are_read_over_all_pages_newest_first(
    bump: EitherClient, client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    for number in range(21):
        await bump.corrections("ana", pinned=[f"Is {number} years old."])
    assert [version.version for version in await listed(bump, "versions", "ana")] == [
        *range(22, 0, -1)
    ]


async def test_a_correction_serves_at_once_and_the_diff_shows_it(
    bump: EitherClient, client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    corrected = await bump.corrections("ana", pinned=["Is allergic to nuts."])
    assert (corrected.version, corrected.origin) == (2, "edited")
    (added,) = (await bump.diff("ana", 1, 2)).added
    assert (added.kind, added.text) == ("pinned", "Is allergic to nuts.")


async def test_a_correction_before_there_is_a_profile_gives_none(bump: EitherClient) -> None:
    await bump.add_interactions(interactions(1))
    assert await bump.corrections("ana", suppressed=["Likes cake."]) is None


async def test_a_version_is_read_and_served_again(
    bump: EitherClient, client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    again = await bump.rollback("ana", 1)
    first = await bump.version("ana", 1)
    assert (again.version, again.origin, again.text) == (2, "rolled_back", first.text)
    with pytest.raises(NotFound):
        await bump.version("ana", 9)


async def test_the_history_is_read_over_all_pages_newest_first(bump: EitherClient) -> None:
    times = [START + timedelta(minutes=minute) for minute in range(501)]
    sent = [Interaction(user_id="ana", text="Baked.", occurred_at=time) for time in times]
    await bump.add_interactions(sent)
    read = [stored.event_id for stored in await listed(bump, "interactions", "ana")]
    assert read == [interaction.event_id for interaction in reversed(sent)]


async def test_a_user_who_objects_has_no_profile_until_profiling_goes_on(
    bump: EitherClient, client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    await bump.pause("ana")
    with pytest.raises(Conflict, match="paused"):
        await bump.profile("ana")
    await bump.resume("ana")
    await while_working(worker, bump.regenerate("ana", wait=30))
    assert await bump.profile("ana") is not None


async def test_a_regeneration_is_waited_for(
    bump: EitherClient, client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    await bump.add_interactions([Interaction(user_id="ana", text="Baked pizza dough again.")])
    done = await while_working(worker, bump.regenerate("ana", wait=30))
    assert (done.done, done.revision, done.version) == (True, 2, 2)
    assert (await bump.regenerate("ana")).done is False


async def test_an_answer_is_personalised_and_has_its_usage(
    bump: EitherClient, client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    answer = await bump.personalize("ana", "Hello", max_tokens=3)
    assert (answer.output, answer.profile_version) == ("word0 word1 word2", 1)
    assert answer.usage.completion_tokens == 3


async def test_messages_and_options_reach_the_model(bump: EitherClient) -> None:
    said = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "echo"}]
    answer = await bump.personalize("nobody", said, temperature=0.5, stop=["x"], seed=7)
    sent = json.loads(answer.output)
    assert sent["messages"] == said
    assert (sent["temperature"], sent["stop"], sent["seed"]) == (0.5, ["x"], 7)
    assert answer.profile_version is None


async def test_a_stream_comes_piece_by_piece_with_its_usage(
    bump: EitherClient, client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    pieces, answer = await streamed(bump, "ana", "Hello", max_tokens=3)
    assert pieces == ["word0 ", "word1 ", "word2 "]
    assert answer.profile.profile_version == 1
    assert (answer.finish_reason, answer.usage.completion_tokens) == ("length", 3)


async def test_an_error_within_a_stream_is_raised(bump: EitherClient) -> None:
    with pytest.raises(DownstreamError, match="ended before") as broken:
        await streamed(bump, "ana", "break off")
    assert broken.value.status == 502


async def test_so_is_one_before_the_stream(bump: EitherClient) -> None:
    with pytest.raises(DownstreamError) as refused:
        await streamed(bump, "ana", "status 400")
    assert refused.value.type == "https://bump.dev/problems/downstream-refused"


async def test_a_prompt_holds_the_profile_as_data(
    bump: EitherClient, client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    prompt = await bump.personalize_prompt("ana", "What should I bake?")
    assert prompt.profile_version == 1
    assert "<user_profile>" in prompt.messages[-1]["content"]


async def test_an_export_is_one_document_of_everything(
    bump: EitherClient, client: httpx2.AsyncClient, worker: Worker
) -> None:
    await write_profile(client, worker)
    document = json.loads(await exported(bump, "ana"))
    assert len(document["interactions"]) == 6
    assert [profile["version"] for profile in document["profiles"]] == [1]


async def test_an_erasure_has_a_receipt_and_leaves_nobody(bump: EitherClient) -> None:
    await bump.add_interactions(interactions(3))
    assert (await bump.erase("ana")).interactions == 3
    with pytest.raises(NotFound):
        await exported(bump, "ana")


async def test_usage_is_counted_by_window(bump: EitherClient) -> None:
    await bump.personalize("ana", "Hello", max_tokens=3)
    usage = await bump.usage("ana")
    assert usage.counted
    assert usage.windows["user_requests"].limit is None


async def test_a_wrong_key_a_lower_scope_and_a_wrong_field_have_their_classes(
    kind: str, bump: EitherClient, clients_api: ApiProcess, make_key: ApiKeyMaker
) -> None:
    async with either_client(kind, clients_api.url, "bump_wrong") as stranger:
        with pytest.raises(Unauthenticated):
            await stranger.profile("ana")
    async with either_client(kind, clients_api.url, await make_key("read")) as reader:
        with pytest.raises(Forbidden):
            await reader.erase("ana")
    with pytest.raises(Unprocessable) as wrong:
        await bump.personalize("ana", "Hello", temperature=9)
    assert wrong.value.problem["errors"][0]["field"] == "temperature"


def below(error: type[errors.BumpError]) -> list[type[errors.BumpError]]:
    return [found for next_one in error.__subclasses__() for found in [next_one, *below(next_one)]]


# Every error that a caller of the service can see, with the family that its page draws it in.
FAMILIES = [
    (error, family.__name__)
    for family in errors.BumpError.__subclasses__()
    for error in [family, *below(family)]
    if error is not errors.DownstreamError
]


@pytest.mark.parametrize(("error", "family"), FAMILIES)
def test_every_family_of_the_services_errors_is_a_class_here(
    error: type[errors.BumpError], family: str
) -> None:
    made = error.__new__(error)
    errors.BumpError.__init__(made, "Why.")
    document = json.dumps(problem_document(made)).encode()
    # Those that name a mistake in the HTTP itself, which this client does not make, share a class.
    expected = getattr(bump_client, family, bump_client.ProblemError)
    assert type(problem_error(Reply(error.status, {}, document))) is expected
