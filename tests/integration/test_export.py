"""An export holds everything as of one moment, whatever happens while it is read."""

import pytest

from service.domain.interaction import Interaction
from service.domain.profile import Corrections, Profile
from service.errors import ExportCutShort, UserNotFound
from service.flows.erase import erase
from service.flows.export import PAGE_SIZE, open_export
from service.flows.revise_profile import correct
from service.runtime import Runtime
from service.worker import Worker
from tests.histories import Add, event, events

pytestmark = pytest.mark.usefixtures("quiet_queue")

# Three pages, the last of them short.
MANY = range(2 * PAGE_SIZE + 7)


async def interactions(runtime: Runtime, project_id: str) -> list[Interaction]:
    export = await open_export(runtime.database, project_id, "u1")
    return [interaction async for page in export.interactions() for interaction in page]


async def profiles(runtime: Runtime, project_id: str) -> list[Profile]:
    export = await open_export(runtime.database, project_id, "u1")
    return [profile async for page in export.profiles() for profile in page]


async def test_it_holds_the_user_the_corrections_and_all_versions(
    add: Add, worker: Worker, runtime: Runtime, project_id: str
) -> None:
    await add(events("u1", range(12)))
    await worker.run_once()
    corrections = Corrections(pinned=("Is vegan.",), suppressed=("nothing",))
    await correct(runtime.database, runtime.cache, project_id, "u1", corrections)
    export = await open_export(runtime.database, project_id, "u1")
    assert (export.user.user_id, export.user.interaction_count) == ("u1", 12)
    assert export.corrections == corrections
    assert [profile.version for profile in await profiles(runtime, project_id)] == [2, 1]


async def test_it_holds_a_long_history_whole_and_newest_first(
    add: Add, runtime: Runtime, project_id: str
) -> None:
    await add(events("u1", MANY))
    held = await interactions(runtime, project_id)
    assert [interaction.event_id for interaction in held] == [f"e{n:04}" for n in reversed(MANY)]


async def test_what_arrives_meanwhile_is_left_out(
    add: Add, runtime: Runtime, project_id: str
) -> None:
    await add(events("u1", MANY))
    export = await open_export(runtime.database, project_id, "u1")
    pages = export.interactions()
    held = await anext(pages)
    # Late ones too: they would stand on a page that is still to come.
    await add([event("u1", -1), event("u1", MANY.stop), event("u1", 3, source="late")])
    held += [interaction async for page in pages for interaction in page]
    assert [interaction.event_id for interaction in held] == [f"e{n:04}" for n in reversed(MANY)]
    assert {interaction.source for interaction in held} == {"test"}


async def test_an_erasure_meanwhile_ends_it(add: Add, runtime: Runtime, project_id: str) -> None:
    await add(events("u1", MANY))
    export = await open_export(runtime.database, project_id, "u1")
    pages = export.interactions()
    await anext(pages)
    await erase(runtime.database, runtime.cache, project_id, "u1")
    with pytest.raises(ExportCutShort):
        await anext(pages)


async def test_so_it_does_between_the_versions(
    add: Add, worker: Worker, runtime: Runtime, project_id: str
) -> None:
    await add(events("u1"))
    await worker.run_once()
    export = await open_export(runtime.database, project_id, "u1")
    await erase(runtime.database, runtime.cache, project_id, "u1")
    with pytest.raises(ExportCutShort):
        await anext(export.profiles())


async def test_a_user_who_came_back_is_not_mixed_in(
    add: Add, runtime: Runtime, project_id: str
) -> None:
    await add(events("u1", MANY))
    export = await open_export(runtime.database, project_id, "u1")
    pages = export.interactions()
    await anext(pages)
    await erase(runtime.database, runtime.cache, project_id, "u1")
    await add(events("u1", range(5)))
    with pytest.raises(ExportCutShort):
        async for _ in pages:
            continue


async def test_there_is_none_of_an_unknown_user(runtime: Runtime, project_id: str) -> None:
    with pytest.raises(UserNotFound):
        await open_export(runtime.database, project_id, "nobody")
