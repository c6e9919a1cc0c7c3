"""BM25 as rank_bm25 computes it, over a user's own history."""

import random
from datetime import UTC, datetime
from math import log

import numpy as np
import pytest

from service.domain.interaction import Interaction
from service.evaluation.lamp.retrieval import bm25_scores, retrieve
from service.evaluation.lamp.tasks import TASKS, Sample
from tests.unit.evaluation.lamp.files import QUESTIONS

TWEETS = TASKS["LaMP_7"]
_THEN = datetime(2026, 1, 1, tzinfo=UTC)


def sample(*texts: str) -> Sample:
    history = tuple(Interaction(str(n), _THEN, text) for n, text in enumerate(texts))
    return Sample("1", QUESTIONS["LaMP_7"], history)


def test_a_score_is_rarity_times_a_damped_count() -> None:
    (first, *others) = bm25_scores(["tea"], [["tea", "pot"], ["cup"], ["bee", "hive", "wax"]])
    assert first == pytest.approx(log(2.5 / 1.5) * 2.5 / (1 + 1.5))
    assert others == [0, 0]


def test_a_word_of_more_than_half_of_the_documents_gets_a_quarter_of_the_mean_rarity() -> None:
    scores = bm25_scores(["tea"], [["tea"], ["tea"], ["tea"], ["pot"], ["cup"]])
    mean = (log(2.5 / 3.5) + 2 * log(4.5 / 1.5)) / 3
    assert scores[0] == pytest.approx(0.25 * mean)


def test_documents_without_words_score_nothing() -> None:
    assert bm25_scores(["tea"], [[], []]).tolist() == [0, 0]


def test_the_most_similar_come_first() -> None:
    asked = sample("A cup of coffee", "Tea at noon", "Rain again", "Tea time with tea", "So long")
    assert [i.event_id for i in retrieve(TWEETS, asked, 1)] == ["3"]
    assert [i.event_id for i in retrieve(TWEETS, asked, 4)][:2] == ["3", "1"]


def test_a_short_history_is_retrieved_as_a_whole() -> None:
    assert len(retrieve(TWEETS, sample("Tea", "Rain"), 4)) == 2
    assert retrieve(TWEETS, sample(), 4) == []


def test_scores_are_those_of_rank_bm25() -> None:
    rank_bm25 = pytest.importorskip("rank_bm25", reason="it is a development dependency")
    chance = random.Random(8)
    for _ in range(200):
        documents = [
            chance.choices("abcdefghijklmnop", k=chance.randint(1, 30))
            for _ in range(chance.randint(1, 40))
        ]
        query = chance.choices("abcdefghijklmnopqrs", k=12)
        theirs = rank_bm25.BM25Okapi(documents)
        np.testing.assert_allclose(bm25_scores(query, documents), theirs.get_scores(query))
