"""Real histories under the measure itself: nothing earns chance, a stranger no more, own ones do.

The histories lie in `../shared/data`, beside the checkout; without them these tests are skipped.
"""

from typing import Any

import pytest

from service.bump.setting import Setting
from service.commands.evaluate import Request, evaluate
from service.config import Settings
from tests.acceptance.test_real_histories import HISTORIES

USERS_A_SET = 80

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
async def document() -> dict[str, Any]:
    files = tuple(sorted(HISTORIES.glob("*.jsonl.gz")))
    if not files:
        pytest.skip("the histories are not here")
    request = Request(
        files,
        None,
        generators="empty,stranger,snippets-keywords,extractive",
        judges="lexical",
        setting=Setting(),
        seed=7,
        users=USERS_A_SET,
    )
    return await evaluate(Settings(_env_file=None), request)


def row(part: dict[str, Any], generator: str) -> dict[str, Any]:
    found: dict[str, Any]
    (found,) = [row for row in part["rows"] if row["generator"] == generator]
    return found


def test_an_empty_profile_earns_chance_in_every_set(document: dict[str, Any]) -> None:
    chance = document["chance"]["total"]
    for part in (document, *document["sets"]):
        assert row(part, "empty")["total"]["mean"] == pytest.approx(chance, abs=0.001)


def test_a_strangers_profile_earns_no_more_than_chance(document: dict[str, Any]) -> None:
    assert row(document, "stranger")["total"]["mean"] <= document["chance"]["total"] + 0.03


@pytest.mark.parametrize("generator", ["snippets-keywords", "extractive"])
def test_own_profiles_are_told_from_strangers_in_every_set(
    document: dict[str, Any], generator: str
) -> None:
    for part in document["sets"]:
        own = row(part, generator)
        assert own["total"]["low"] > document["chance"]["total"], part["histories"]
        assert own["auc"] > 0.55, part["histories"]
    assert row(document, generator)["auc"] > 0.7
