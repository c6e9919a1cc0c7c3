"""Attacks all the way: ingest, worker, profile, prompt, read by an oracle that only sees strings.

The generator repeats what users said word for word, so nothing depends on its being careful.
"""

import re
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI

from benchmarks.red_team import PAGE, table
from service.commands.keys import create_key
from service.config import Settings
from service.db.projects import Scope
from service.domain.prompts import PROFILE_CLOSE, PROFILE_GUARD, PROFILE_OPEN
from service.runtime import Runtime
from tests.conftest import make_worker
from tests.integration.api.calls import START, post, work_off
from tests.security.red_team import ALIKE_IDS, Case, read_cases, structure_in
from tests.verbatim import Verbatim

QUESTION = "What should I have for dinner?"
CASES = {case.name: case for case in read_cases()}
TEXTS = {name: case.text for name, case in CASES.items()} | {
    user_id: f"Goes by the id number {number}." for number, user_id in enumerate(ALIKE_IDS)
}
CANARIES = {user_id: f"kestrel{number:03}" for number, user_id in enumerate(TEXTS)}
CANARY = re.compile(r"kestrel\d{3}")

Prompts = Mapping[str, list[dict[str, str]]]


def history(user_id: str) -> list[dict[str, Any]]:
    """The attack, and enough about a bird of this user's own to make a profile."""
    texts = [TEXTS[user_id], *(f"Saw {CANARIES[user_id]} on day {day}." for day in range(4))]
    return [
        {
            "user_id": user_id,
            "event_id": str(day),
            "occurred_at": (START + timedelta(days=day)).isoformat(),
            "text": text,
        }
        for day, text in enumerate(texts)
    ]


@pytest.fixture(scope="module")
async def attacked(app: FastAPI, settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a project of its own, for all attacks together."""
    key = await create_key(settings, f"red-{uuid4().hex[:8]}", "red team", list(Scope), None)
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app),
        base_url="http://bump.test",
        headers={"Authorization": f"Bearer {key}"},
    ) as client:
        yield client


@pytest.fixture(scope="module")
async def prompts(attacked: httpx2.AsyncClient, runtime: Runtime) -> Prompts:
    """What the model would read for each user: one ingest and one worker for all."""
    users = list(TEXTS)
    for start in range(0, len(users), 150):
        events = [event for user_id in users[start : start + 150] for event in history(user_id)]
        await post(attacked, *events)
    await work_off(make_worker(runtime, Verbatim(), batch=100))
    return {user_id: await prompt(attacked, user_id) for user_id in users}


async def prompt(client: httpx2.AsyncClient, user_id: str) -> list[dict[str, str]]:
    body = {"user_id": user_id, "input": QUESTION}
    response = await client.post("/v1/personalize/prompt", json=body)
    assert response.status_code == 200, response.text
    messages: list[dict[str, str]] = response.json()["messages"]
    return messages


def statements(messages: list[dict[str, str]]) -> list[str]:
    """The lines between the delimiters; everything around them must be ours and the caller's."""
    system, user = messages
    assert system == {"role": "system", "content": PROFILE_GUARD}
    opening, *lines, closing, blank, question = user["content"].split("\n")
    assert (user["role"], opening, closing) == ("user", PROFILE_OPEN, PROFILE_CLOSE)
    assert (blank, question) == ("", QUESTION)
    return lines


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_nothing_of_a_prompts_structure_reaches_it(prompts: Prompts, case: Case) -> None:
    assert not structure_in(statements(prompts[case.name]))


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_what_it_asks_for_reaches_the_prompt_only_where_that_is_known(
    prompts: Prompts, case: Case
) -> None:
    assert (case.asks in "\n".join(statements(prompts[case.name]))) == case.passes


def test_every_user_gets_its_own_profile_and_no_other(prompts: Prompts) -> None:
    found = {
        user_id: {m for line in statements(messages)[-4:] for m in CANARY.findall(line)}
        for user_id, messages in prompts.items()
    }
    assert found == {user_id: {canary} for user_id, canary in CANARIES.items()}


def test_the_classes_are_all_there_and_large_enough() -> None:
    assert len(CASES) + len(ALIKE_IDS) >= 150
    assert len({case.kind for case in CASES.values()}) >= 9


def test_the_page_on_security_shows_these_rates() -> None:
    assert table(read_cases()) in PAGE.read_text()
