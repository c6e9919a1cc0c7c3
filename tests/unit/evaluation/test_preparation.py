"""Histories to batches: who is left out and why, and the harder choices of BUMP+."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from service.bump.batch import BatchTooSmall
from service.bump.setting import Setting
from service.evaluation.preparation import HistoriesTooShort, prepare
from tests.unit.evaluation.fictional import HOBBIES, histories, history

SETTING = Setting(held_out=2, gap=1, min_visible=5)


def by_number(texts: Sequence[str]) -> NDArray[np.float64]:
    """Notes 16 and 18 point elsewhere; chess and fencing, and kayaking and sailing, are alike."""
    axes = {"fencing": "chess", "sailing": "kayaking"}
    vectors = np.zeros((len(texts), len(HOBBIES) + 1))
    for row, text in zip(vectors, texts, strict=True):
        number, hobby = text.split()[1], text.split()[3].strip(":")
        row[HOBBIES.index(axes.get(hobby, hobby))] = 1
        if number in ("16", "18"):
            row[-1] = 2
    return vectors


def test_a_short_history_is_counted() -> None:
    found = histories() | {"short": history("short", 7)}
    batch = prepare(found, SETTING, seed=7)
    assert [example.user_id for example in batch.examples] == sorted(HOBBIES)
    assert batch.skipped == {"history too short": 1}


def test_whoever_has_what_the_others_have_is_left_out_and_counted() -> None:
    found = histories()
    found["copycat"] = [i for hobby in HOBBIES for i in found[hobby][-2:]]
    batch = prepare(found, SETTING, seed=7)
    assert "copycat" not in batch.negatives
    assert batch.skipped == {"too few others with different interactions": 1}


def test_interactions_without_text_do_not_count() -> None:
    found = histories()
    found["silent"] = [i.__class__(i.event_id, i.occurred_at, " ") for i in found["chess"]]
    assert prepare(found, SETTING, seed=7).skipped == {"history too short": 1}


def test_histories_that_are_all_too_short_are_refused() -> None:
    with pytest.raises(HistoriesTooShort, match="None of 12 users has the 8 interactions"):
        prepare(histories(7), SETTING, seed=7)


@pytest.mark.parametrize("users", [1, 8])
def test_too_few_users_are_refused(users: int) -> None:
    found = dict(list(histories().items())[:users])
    with pytest.raises(BatchTooSmall, match="more than 8 users"):
        prepare(found, SETTING, seed=7)


def test_users_who_all_say_the_same_are_refused() -> None:
    found = {hobby: history("chess") for hobby in HOBBIES}
    with pytest.raises(BatchTooSmall, match="interactions differ"):
        prepare(found, SETTING, seed=7)


class TestBumpPlus:
    HARD = Setting(held_out=2, gap=1, min_visible=5, hard=True)

    def test_holds_out_the_least_expected_of_a_wider_window(self) -> None:
        batch = prepare(histories(), self.HARD, seed=7, embed=by_number)
        for example in batch.examples:
            assert [i.event_id[-3:] for i in example.held_out] == ["016", "018"]
            assert len(example.visible) == 20 - 4 - 1

    def test_asks_among_the_most_similar_users(self) -> None:
        setting = Setting(held_out=2, negatives=1, gap=1, hard=True, time_matched=False)
        negatives = prepare(histories(), setting, seed=7, embed=by_number).negatives
        pairs = [("chess", "fencing"), ("kayaking", "sailing")]
        assert all(negatives[one].users == (other,) for one, other in pairs)
        assert all(negatives[other].users == (one,) for one, other in pairs)

    def test_needs_embeddings(self) -> None:
        with pytest.raises(ValueError, match="pass `embed`"):
            prepare(histories(), self.HARD, seed=7)
