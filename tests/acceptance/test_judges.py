"""Judges on a real vLLM. Its weights are random, so what is shown is form, not judgement."""

from collections.abc import AsyncIterator
from dataclasses import replace
from math import isfinite

import pytest

from service.bump.judge import Direction, Judge, JudgeFailed, Question, ask
from service.config import Settings
from service.runtime import open_judge
from tests.vllm_server import MODEL_NAME

pytestmark = pytest.mark.vllm

HOBBIES = [
    *("long walks along the river", "recipes without meat", "trains and timetables"),
    *("chamber music", "watercolour painting", "documentary films", "board games with friends"),
    *("naïve café ✨ 日本語", "gardening in small spaces", "open source software", "football"),
    "database performance",
]
PROFILES = [f"Often writes about {hobby}.\nPrefers short answers." for hobby in HOBBIES]
ASKED = [f"Asked a question about {hobby}" for hobby in HOBBIES]
QUESTIONS = [
    *(Question(profile, tuple(ASKED), Direction.FORWARD, group=profile) for profile in PROFILES),
    *(Question(text, tuple(PROFILES[:9]), Direction.BACKWARD, group=text) for text in ASKED),
]


def settings(base_url: str) -> Settings:
    return Settings(judge_url=base_url, judge_model=MODEL_NAME)


@pytest.fixture
async def listwise(vllm: str) -> AsyncIterator[Judge]:
    judge = open_judge("listwise", settings(vllm), [])
    yield judge
    await judge.close()


@pytest.fixture
async def likelihood(vllm: str) -> AsyncIterator[Judge]:
    judge = open_judge("likelihood", settings(vllm), [])
    yield judge
    await judge.close()


async def test_listwise_always_gives_a_permutation(listwise: Judge) -> None:
    for question, scores in zip(QUESTIONS, await listwise.score(QUESTIONS), strict=True):
        assert sorted(scores) == list(range(1, len(question.candidates) + 1))
    assert listwise.cost.calls >= len(QUESTIONS)
    assert listwise.cost.tokens > 100 * len(QUESTIONS)


async def test_listwise_reads_the_longest_histories_within_its_context(listwise: Judge) -> None:
    long = replace(QUESTIONS[0], candidates=tuple(text * 800 for text in ASKED))
    (scores,) = await listwise.score([long])
    assert sorted(scores) == list(range(1, 13))


async def test_likelihoods_are_finite_and_tell_candidates_apart(likelihood: Judge) -> None:
    for scores in await likelihood.score(QUESTIONS):
        assert all(map(isfinite, scores))
        assert len(set(scores)) == len(scores)


async def test_likelihoods_do_not_depend_on_order_or_company(likelihood: Judge) -> None:
    question = QUESTIONS[0]
    turned = replace(question, candidates=question.candidates[::-1])
    few = replace(question, candidates=question.candidates[:3])
    whole, back, part = await likelihood.score([question, turned, few])
    assert whole == pytest.approx(back[::-1], abs=1e-4)
    assert whole[:3] == pytest.approx(part, abs=1e-4)


async def test_likelihoods_are_the_same_when_asked_again(likelihood: Judge, vllm: str) -> None:
    again = open_judge("likelihood", settings(vllm), [])
    try:
        first = await likelihood.score(QUESTIONS[:4])
        for one, other in zip(first, await again.score(QUESTIONS[:4]), strict=True):
            assert one == pytest.approx(other, abs=1e-4)
    finally:
        await again.close()


async def test_likelihood_asks_once_a_question_and_sixteen_texts_at_once(
    likelihood: Judge,
) -> None:
    await likelihood.score(QUESTIONS)
    assert likelihood.cost.calls == len(QUESTIONS) + 2


async def test_an_unknown_model_is_an_error(vllm: str) -> None:
    judge = open_judge("listwise", Settings(judge_url=vllm, judge_model="another"), [])
    with pytest.raises(JudgeFailed, match="404"):
        await judge.score(QUESTIONS[:1])
    await judge.close()


async def test_orders_are_asked_over_shuffles(listwise: Judge) -> None:
    ((first, second),) = await ask(listwise, QUESTIONS[:1], orders=2, seed=7)
    assert sorted(first) == sorted(second) == list(range(1, 13))
