"""The model that the package ships: whole, small, the same on every machine, and tailored."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from service.domain.placement import assemble
from service.domain.prompts import Message, safe_statements
from service.errors import ConfigurationError
from service.llm.client import ChatClient, Sampling
from service.llm.local import LOCAL_URL, open_local
from service.llm.local.mini import BUMP_MINI, FILES, load_bump_mini

MEGABYTE = 1_000_000
QUESTION = "Where should I go this summer?"
BAKER = ["Keeps coming back to rye sourdough.", "Likes cardamom buns."]
ASTRONOMER = ["Keeps coming back to meteor showers.", "Likes Jupiter's moons."]


@pytest.fixture(scope="module")
def client() -> ChatClient:
    local = open_local(BUMP_MINI)
    return ChatClient(
        base_url=LOCAL_URL, model=BUMP_MINI, api_key=None, deadline=60, transport=local.transport
    )


async def answer(client: ChatClient, statements: list[str], sampling: Sampling) -> str:
    prompt = assemble(
        (Message("user", QUESTION),),
        safe_statements(statements),
        messages_tokens=0,
        profile_budget=400,
    )
    return (await client.complete(prompt.messages, sampling)).text


def test_it_is_small_and_its_own_work() -> None:
    card = json.loads((FILES / "card.json").read_bytes())
    assert 4e6 <= card["parameters"] <= 12e6
    assert sum(path.stat().st_size for path in FILES.iterdir()) < 16 * MEGABYTE
    assert card["license"] == "Apache-2.0"


def test_it_loads_without_torch_and_without_transformers() -> None:
    code = (
        "import sys; from service.llm.local import open_local; open_local('bump-mini'); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_file_that_is_not_the_released_one_is_refused(tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(FILES, tmp_path / "bump_mini")
    with (folder / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(ConfigurationError, match=f"{name} is not the file that was released"):
        load_bump_mini(folder)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"card\.json, which is not there"):
        load_bump_mini(tmp_path)


async def test_the_profile_decides_what_the_answer_is_about(client: ChatClient) -> None:
    sampling = Sampling(max_tokens=80, temperature=0)
    baked = await answer(client, BAKER, sampling)
    observed = await answer(client, ASTRONOMER, sampling)
    plain = await answer(client, [], sampling)
    assert any(name in baked for name in ("rye sourdough", "cardamom buns"))
    assert any(name in observed for name in ("meteor showers", "Jupiter's moons"))
    assert not any(name in plain for name in ("sourdough", "cardamom", "meteor", "Jupiter"))


async def test_equal_seeds_give_equal_answers(client: ChatClient) -> None:
    sampling = Sampling(max_tokens=60, temperature=1, seed=7)
    first, second = [await answer(client, BAKER, sampling) for _ in range(2)]
    assert first == second
