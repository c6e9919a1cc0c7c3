"""Baselines: whole words of what is visible, within the budget, the same for the same seed."""

import pytest

from service.bump.reward import TARGET_TOKENS
from service.bump.setting import Setting
from service.domain.tokens import estimate_tokens
from service.evaluation.baselines import BASELINES, Terms, baselines, derangement
from service.evaluation.preparation import Batch, prepare
from service.generators.extractive import write_draft
from tests.unit.evaluation.fictional import HOBBIES, histories


@pytest.fixture(scope="module")
def batch() -> Batch:
    return prepare(histories(), Setting(), seed=7)


def written(batch: Batch, name: str, seed: int = 7) -> dict[str, str]:
    write = baselines(batch, seed=seed)[name]
    return {example.user_id: write(example) for example in batch.examples}


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_keeps_the_budget(batch: Batch, name: str) -> None:
    texts = written(batch, name)
    assert list(texts) == sorted(HOBBIES)
    assert all(estimate_tokens(text) <= TARGET_TOKENS for text in texts.values())


@pytest.mark.parametrize("name", ["random-items", "last-items", "snippets-keywords"])
def test_a_baseline_that_quotes_uses_most_of_the_budget(batch: Batch, name: str) -> None:
    lengths = [estimate_tokens(text) for text in written(batch, name).values()]
    assert min(lengths) > 0.5 * TARGET_TOKENS


@pytest.mark.parametrize("name", BASELINES)
def test_the_same_seed_gives_the_same_text(batch: Batch, name: str) -> None:
    assert written(batch, name) == written(batch, name)


@pytest.mark.parametrize("name", ["stranger", "random-items"])
def test_another_seed_gives_others(batch: Batch, name: str) -> None:
    assert written(batch, name) != written(batch, name, seed=8)


def test_the_empty_baseline_says_nothing(batch: Batch) -> None:
    assert set(written(batch, "empty").values()) == {""}


def test_a_strangers_profile_is_what_the_generator_wrote_for_somebody_else(batch: Batch) -> None:
    own = {
        example.user_id: "\n".join(
            statement.text
            for statement in write_draft(
                example.visible, batch.population, TARGET_TOKENS
            ).statements
        )
        for example in batch.examples
    }
    strangers = written(batch, "stranger")
    assert sorted(strangers.values()) == sorted(own.values())
    assert all(strangers[user_id] != own[user_id] for user_id in own)


def test_a_derangement_leaves_nobody_in_place() -> None:
    names = [str(number) for number in range(50)]
    moved = derangement(names, seed=3)
    assert sorted(moved) == sorted(moved.values()) == sorted(names)
    assert all(name != other for name, other in moved.items())
    with pytest.raises(ValueError, match="no stranger"):
        derangement(["alone"], seed=3)


def test_last_items_begin_with_the_newest_visible_interaction(batch: Batch) -> None:
    for example in batch.examples:
        first, second = written(batch, "last-items")[example.user_id].split("\n")[:2]
        assert example.visible[-1].text.startswith(first)
        assert example.visible[-2].text.startswith(second)


def test_snippets_end_with_a_whole_word(batch: Batch) -> None:
    example = batch.examples[0]
    for line in written(batch, "random-items")[example.user_id].split("\n"):
        assert any(f"{i.text} ".startswith(f"{line} ") for i in example.visible)


def test_keywords_begin_with_what_only_this_user_says(batch: Batch) -> None:
    for user_id, text in written(batch, "keywords").items():
        assert text.split(", ")[0] == user_id


def test_snippets_with_keywords_are_five_snippets_and_then_phrases(batch: Batch) -> None:
    example = batch.examples[0]
    lines = written(batch, "snippets-keywords")[example.user_id].split("\n")
    newest = [interaction.text for interaction in example.visible[:-6:-1]]
    assert all(text.startswith(line) for line, text in zip(lines, newest, strict=False))
    assert ", " in lines[5]


def test_phrases_repeat_no_word(batch: Batch) -> None:
    words = " ".join(Terms(batch.examples).phrases(batch.examples[0])).split(" ")
    assert len(words) == len(set(words))
