"""The programs of the client's README do what they say."""

import asyncio
import re
from pathlib import Path

import httpx2
import pytest

import bump_client
from service.worker import Worker
from tests.clients.test_bump_client import while_working
from tests.conftest import ApiKeyMaker
from tests.faults.processes import ApiProcess
from tests.integration.api.calls import get

README = Path(bump_client.__file__).parents[1] / "README.md"
PROGRAMS = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)


async def run(program: str, api: ApiProcess, key: str, worker: Worker) -> None:
    """The program, but for the address and the key, beside a worker."""
    text = program.replace('Bump("http://127.0.0.1:8000")', f'Bump("{api.url}", "{key}")')
    assert text != program
    await while_working(worker, asyncio.to_thread(exec, text, {}))


async def test_the_first_gets_a_profile_and_a_streamed_answer(
    clients_api: ApiProcess,
    make_key: ApiKeyMaker,
    worker: Worker,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await run(PROGRAMS[0], clients_api, await make_key(), worker)
    profile, answer = capsys.readouterr().out.rsplit("\n", 1)
    assert "running" in profile
    assert answer.startswith("word0 word1 ")


async def test_the_second_reads_a_history_on_asyncio(
    clients_api: ApiProcess,
    make_key: ApiKeyMaker,
    worker: Worker,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await run(PROGRAMS[1], clients_api, await make_key(), worker)
    assert capsys.readouterr().out.endswith(" Ran up the hill twice\n")


async def test_the_third_stores_a_thousand_events(
    clients_api: ApiProcess,
    make_key: ApiKeyMaker,
    worker: Worker,
    client: httpx2.AsyncClient,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await run(PROGRAMS[2], clients_api, await make_key(), worker)
    assert "not stored" not in capsys.readouterr().out
    page = await get(client, "/v1/users/ada/interactions", limit=1)
    assert page["interactions"][0]["text"] == "Ran 999 km"


def test_the_first_has_about_ten_lines() -> None:
    assert len([line for line in PROGRAMS[0].splitlines() if line.strip()]) <= 11
