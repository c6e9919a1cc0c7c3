"""Judges by name, as the settings have them."""

import pytest

from service.config import Settings
from service.errors import ConfigurationError
from service.judges.embedding import EmbeddingJudge
from service.runtime import JUDGES, open_judge

SETTINGS = Settings(judge_url="http://judge.test/v1", judge_model="judge")


@pytest.mark.parametrize("name", JUDGES)
async def test_every_judge_opens_under_its_name(name: str) -> None:
    judge = open_judge(name, SETTINGS, ["bread and tea"])
    assert judge.name == name
    assert (judge.cost.calls, judge.cost.tokens) == (0, 0)
    await judge.close()


def test_embedding_judges_share_what_is_encoded() -> None:
    first, second = (open_judge("embedding", SETTINGS, []) for _ in range(2))
    assert isinstance(first, EmbeddingJudge) and isinstance(second, EmbeddingJudge)
    assert first.encoder is second.encoder


def test_an_unknown_judge_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match=r"'oracle'.*lexical, embedding, listwise"):
        open_judge("oracle", SETTINGS, [])


@pytest.mark.parametrize("name", ["listwise", "likelihood"])
@pytest.mark.parametrize("missing", ["judge_url", "judge_model"])
def test_a_model_without_an_address_is_refused(name: str, missing: str) -> None:
    settings = SETTINGS.model_copy(update={missing: None})
    with pytest.raises(ConfigurationError, match=f"{name} judge needs BUMP_JUDGE_URL"):
        open_judge(name, settings, [])
