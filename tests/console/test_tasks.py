"""What a person does at the console, each with the mouse or the keyboard, as they would."""

import re

import pytest
from playwright.async_api import Browser, Page, expect

from service.config import Settings
from service.runtime import Runtime
from tests.console.browser import watched_page
from tests.console.conftest import OpenConsole, Project, check, sign_in
from tests.console.people import ADA, ada_moves_in, move_in
from tests.histories import Sql
from tests.integration.test_deployments import passed

PARK = """
update regenerations set parked_at = now(), due_at = 'infinity', attempts = 5,
    last_error = 'GeneratorUnavailable: no answer'
where project_id = :project_id
"""
SENTENCE = "Is allergic to nuts."
OWN_WORDS = "Runs hills twice a week."


async def statements(page: Page) -> list[str]:
    return await page.locator(".statement > p").all_text_contents()


async def settled(page: Page, project: Project) -> list[str]:
    """What the profile says once the worker has written what a correction asked for."""
    await project.written()
    await page.reload()
    await expect(page.locator(".statement > p").first).to_be_visible()
    return await statements(page)


async def notice(page: Page, text: str) -> None:
    await expect(page.get_by_role("status").filter(has_text=text)).to_be_visible()


async def confirm(page: Page, action: str) -> None:
    await page.get_by_role("dialog").get_by_role("button", name=action).click()


async def test_signs_in_with_an_admin_key_and_out_again(browser: Browser, project: Project) -> None:
    unknown = project.key[:-4] + "zzzz"
    async with watched_page(browser, project.url) as (page, watched):
        await page.goto("/console")
        await page.get_by_label("API key").fill(unknown)
        await page.keyboard.press("Enter")
        refusal = page.get_by_role("main").get_by_role("alert")
        await expect(refusal).to_contain_text("unknown, revoked or expired")
        await sign_in(page, project.key)
        await expect(page.get_by_text(project.project_id).first).to_be_visible()
        await page.reload()
        await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        check(watched, refusals=1)


async def test_finds_a_user_by_the_beginning_of_the_id(page: Page, project: Project) -> None:
    names = ("ana", "bo")
    await project.post([{"user_id": name, "event_id": "1", "text": "Hi."} for name in names])
    await page.get_by_role("link", name="Users").click()
    await expect(page.get_by_role("row")).to_have_count(3)
    await page.get_by_label("Id begins with").fill("b")
    await expect(page.get_by_role("row")).to_have_count(2)
    await page.get_by_role("link", name="bo", exact=True).click()
    await expect(page.get_by_role("heading", name="bo", exact=True)).to_be_focused()
    await expect(page.get_by_text("A profile needs 5 interactions.")).to_be_visible()


async def test_sees_the_interactions_behind_a_statement(
    open_console: OpenConsole, project: Project
) -> None:
    await ada_moves_in(project)
    profile = (await project.client.get(f"/v1/users/{ADA}/profile")).json()
    named = {e["event_id"] for e in profile["statements"][-1]["evidence"]}
    async with open_console(f"#/users/{ADA}") as page:
        evidence = page.get_by_role("region", name="Evidence")
        await page.locator(".statement").last.hover()
        await expect(evidence.get_by_role("heading")).to_have_text(
            re.compile(f"^Supported by {len(named)} ")
        )
        shown = await evidence.locator(".about span:last-child").all_text_contents()
        assert {text.removeprefix("demo · ") for text in shown} == named
        # By keyboard as well.
        await page.locator(".statement [aria-expanded]").first.focus()
        first = len(profile["statements"][0]["evidence"])
        await expect(evidence.get_by_role("heading")).to_have_text(
            re.compile(f"^Supported by {first} ")
        )


async def test_compares_versions_and_looks_at_the_score_over_time(
    open_console: OpenConsole, project: Project
) -> None:
    await move_in(project)
    async with open_console(f"#/users/{ADA}") as page:
        versions = page.get_by_role("region", name="Versions")
        await expect(versions.get_by_role("row")).to_have_count(4)
        await versions.get_by_label("Changes from").select_option("Version 1")
        await expect(versions.locator(".change").first).to_be_visible()
        diff = await project.client.get(f"/v1/users/{ADA}/profile/diff?from=1&to=3")
        changes = sum(len(diff.json()[kind]) for kind in ("added", "removed", "changed"))
        await expect(versions.locator(".change")).to_have_count(changes)
        score = page.get_by_role("region", name="Score over time")
        await expect(score.get_by_role("img")).to_have_attribute(
            "aria-label", re.compile(r"^Score of \d+ windows, from .* chance is 0\.$")
        )
        await score.get_by_text("As a table").click()
        await expect(score.get_by_role("row").nth(1)).to_be_visible()
        await page.get_by_role("link", name="Overview").click()
        await expect(page.get_by_role("region", name="By generator")).to_contain_text("extractive")


async def test_pins_edits_and_suppresses_what_a_profile_says(
    open_console: OpenConsole, project: Project
) -> None:
    await ada_moves_in(project)
    async with open_console(f"#/users/{ADA}") as page:
        await page.get_by_label("Pin a sentence").fill(SENTENCE)
        await page.keyboard.press("Enter")
        await notice(page, "Pinned")
        suppressed = (await settled(page, project))[1]
        await page.get_by_role("button", name=f"Suppress: {suppressed}").click()
        await notice(page, "Suppressed")
        pinned, reworded, *_ = await settled(page, project)
        assert pinned == SENTENCE
        await page.get_by_role("button", name=f"Edit: {reworded}").click()
        await page.get_by_label("The statement in your words").fill(OWN_WORDS)
        await page.get_by_role("button", name="Save").click()
        await notice(page, "Saved")
        said = await settled(page, project)
        assert said[:2] == [SENTENCE, OWN_WORDS]
        assert not {suppressed, reworded} & set(said)
        await page.get_by_role("button", name=f"Allow again: {suppressed}").click()
        await notice(page, "Allowed")
        await page.get_by_role("button", name=f"Unpin: {SENTENCE}").first.click()
        await notice(page, "Unpinned")
    stored = (await project.client.get(f"/v1/users/{ADA}/profile/corrections")).json()
    assert stored["pinned"] == [OWN_WORDS]
    assert len(stored["suppressed"]) == 1


async def test_has_a_profile_written_anew_and_serves_an_earlier_one_again(
    open_console: OpenConsole, project: Project
) -> None:
    await ada_moves_in(project)
    await project.client.put(f"/v1/users/{ADA}/profile/corrections", json={"pinned": [SENTENCE]})
    await project.written()
    async with open_console(f"#/users/{ADA}") as page:
        await page.get_by_role("button", name="Regenerate").click()
        await notice(page, "Done: version 2 serves.")
        await page.get_by_role("button", name="Serve version 1 again").click()
        await confirm(page, "Serve it")
        await notice(page, "Version 3 serves what version 1 said.")
        await expect(page.get_by_role("row", name=re.compile("^3 serving"))).to_be_visible()


async def test_pauses_profiling_and_resumes_it(open_console: OpenConsole, project: Project) -> None:
    await ada_moves_in(project)
    async with open_console(f"#/users/{ADA}") as page:
        await page.get_by_role("button", name="Pause profiling").click()
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await page.get_by_role("button", name="Pause profiling").click()
        await confirm(page, "Pause profiling")
        await notice(page, "Profiling is paused.")
        await expect(page.get_by_text("Paused: the user objected to profiling")).to_be_visible()
        assert (await project.client.get(f"/v1/users/{ADA}/profile")).status_code == 409
        await page.get_by_role("button", name="Resume profiling").click()
        await notice(page, "Profiling is on again.")
    assert (await project.client.get(f"/v1/users/{ADA}")).json()["profiling"] == "on"


async def test_erases_a_user_once_the_id_was_typed(
    open_console: OpenConsole, project: Project
) -> None:
    await ada_moves_in(project)
    async with open_console(f"#/users/{ADA}") as page:
        await page.get_by_role("button", name="Erase …").click()
        dialog = page.get_by_role("dialog")
        erase = dialog.get_by_role("button", name="Erase for ever")
        await expect(erase).to_be_disabled()
        await dialog.get_by_role("textbox").fill("ada")
        await expect(erase).to_be_disabled()
        await dialog.get_by_role("textbox").fill(ADA)
        await erase.click()
        await expect(page.get_by_role("region", name="Receipt")).to_contain_text("receipt_id")
    assert (await project.client.get(f"/v1/users/{ADA}")).status_code == 404


async def test_sees_what_was_put_in_for_an_answer(
    open_console: OpenConsole, project: Project
) -> None:
    await ada_moves_in(project)
    asked = {"user_id": ADA, "input": "What should I do this weekend?"}
    then = (await project.client.post("/v1/personalize/prompt", json=asked)).json()
    await project.client.put(f"/v1/users/{ADA}/profile/corrections", json={"pinned": [SENTENCE]})
    async with open_console(f"#/users/{ADA}") as page:
        await page.get_by_role("link", name="Try a prompt").click()
        await page.get_by_role("button", name="Ask the model").click()
        await expect(page.get_by_role("region", name="Answer")).to_contain_text("word0 word1")
        await expect(page.locator("[data-injected]")).to_contain_text(SENTENCE)
        await page.get_by_label("Profile version").fill(str(then["profile_version"]))
        await page.get_by_role("button", name="Show the prompt").click()
        await expect(page.locator("[data-injected]")).not_to_contain_text(SENTENCE)
        injected = await page.locator("[data-injected]").text_content()
        assert injected and injected in then["messages"][-1]["content"]


async def test_wakes_what_is_parked(
    open_console: OpenConsole, project: Project, settings: Settings, sql: Sql
) -> None:
    await ada_moves_in(project)
    # Far in the future, so that no worker takes it in between.
    await sql(
        "insert into regenerations (project_id, user_id, requested_revision, first_requested_at,"
        " last_requested_at, due_at, priority) values (:project_id, 'ada-trail-runner', 1, now(),"
        " now(), 'infinity', 1)"
    )
    await sql(PARK)
    async with open_console() as page:
        await expect(page.get_by_role("definition").filter(has_text="See why")).to_be_visible()
        await page.get_by_role("link", name="See why").click()
        await page.get_by_role("button", name="Parked", exact=True).click()
        row = page.get_by_role("row").filter(has_text=ADA)
        await expect(row).to_contain_text("GeneratorUnavailable: no answer")
        await row.get_by_role("button", name=f"Requeue {ADA}").click()
        await notice(page, "1 profile will be written again.")
        await expect(page.get_by_text("Nothing is parked")).to_be_visible()
    await project.written()


async def test_promotes_a_generator_on_its_evidence_and_rolls_it_back(
    open_console: OpenConsole, project: Project, runtime: Runtime
) -> None:
    added = await project.client.post("/v1/generators/b/register", json={"artifact": "incoming"})
    assert added.status_code == 200, added.text
    await passed(runtime, project.project_id, "b", registered=True)
    async with open_console("#/generators") as page:
        await page.get_by_role("link", name="b", exact=True).click()
        await expect(page.get_by_role("region", name="Decisions")).to_contain_text("passed")
        await page.get_by_role("button", name="Promote to shadow").click()
        await confirm(page, "Promote to shadow")
        await notice(page, "b is at the stage shadow.")
        standing = page.get_by_role("region", name="Where it stands")
        await expect(standing.locator("[aria-current=step]")).to_have_text("shadow")
        await page.get_by_role("button", name="Roll back").click()
        await confirm(page, "Roll back")
        await notice(page, "b was taken back.")
        await expect(page.get_by_role("region", name="Decisions")).to_contain_text("rolled back")


async def test_watches_what_comes_in(page: Page, project: Project) -> None:
    await expect(page.get_by_text("Nothing came in over HTTP")).to_be_visible()
    await project.post([{"user_id": "ana", "event_id": str(n), "text": "Hi."} for n in range(40)])
    ingest = page.get_by_role("region", name="Ingest")
    await expect(ingest.get_by_text("40 in five minutes")).to_be_visible()
    await page.get_by_role("button", name="Pause updates").click()
    await expect(page.get_by_text("Paused", exact=True)).to_be_visible()


@pytest.mark.parametrize(
    ("address", "refusals", "told"),
    [
        ("#/users/eve", 2, "No such user"),
        ("#/generators/eve", 1, "The project has no such generator"),
    ],
)
async def test_is_told_in_words_what_is_not_there(
    open_console: OpenConsole, address: str, refusals: int, told: str
) -> None:
    async with open_console(address, refusals=refusals) as page:
        await expect(page.get_by_role("heading", name=told)).to_be_visible()
