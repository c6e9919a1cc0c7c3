"""Scores from log-probabilities, against a model whose probabilities are known."""

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import replace
from math import log
from typing import Any

import httpx2
import pytest

from service.bump.judge import Direction, JudgeFailed, Question
from service.domain.tokens import estimate_tokens
from service.judges.likelihood import LikelihoodJudge
from tests.unit.llm_endpoint import Recorder, answer, scoring_client

FORWARD = Question("likes bread", ("bread", "tea please"), Direction.FORWARD, group="ana")
BACKWARD = Question("bread", ("likes bread", "likes tea"), Direction.BACKWARD, group="ana")


def scored(prompt: str) -> dict[str, Any]:
    """A word has 1/2 when it stands in the prompt before, else 1/8; the first has none."""
    tokens = re.findall(r"\w+|\W", prompt)
    values: list[float | None] = [
        log(1 / 2 if token in tokens[:place] else 1 / 8) for place, token in enumerate(tokens)
    ]
    return {"tokens": tokens, "token_logprobs": [None, *values[1:]]}


class Echo:
    """An endpoint of that model; keeps the prompts of each call."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        prompts = json.loads(request.content)["prompt"]
        self.calls.append(prompts)
        choices = [{"index": at, "logprobs": scored(prompt)} for at, prompt in enumerate(prompts)]
        return httpx2.Response(200, json={"choices": choices[::-1], "usage": USAGE})


USAGE = {"prompt_tokens": 40, "completion_tokens": 0}


def judge(endpoint: Callable[[httpx2.Request], httpx2.Response]) -> LikelihoodJudge:
    return LikelihoodJudge(scoring_client(endpoint))


async def test_the_score_is_what_the_query_adds_by_hand() -> None:
    (scores,) = await judge(Echo()).score([FORWARD])
    # "bread" goes from 1/8 to 1/2; the profile says nothing of "tea", " " and "please".
    assert scores == pytest.approx([log(4), 0])


async def test_backward_the_profiles_are_the_candidates() -> None:
    (scores,) = await judge(Echo()).score([BACKWARD])
    # Of "likes", " ", "bread" the last one gains.
    assert scores == pytest.approx([log(4) / 3, 0])


async def test_the_query_comes_first_and_all_its_candidates_in_one_call() -> None:
    model = Echo()
    await judge(model).score([FORWARD])
    priors, followed = model.calls
    context = followed[0]
    assert "likes bread" in context
    assert followed[1:] == [context + "bread", context + "tea please"]
    assert priors[1:] == [priors[0] + "bread", priors[0] + "tea please"]
    assert context.endswith(priors[0])


async def test_only_the_prompt_is_scored_and_nothing_is_written() -> None:
    endpoint = Recorder(answer(503))
    with pytest.raises(JudgeFailed):
        await judge(endpoint).score([FORWARD])
    body = json.loads(endpoint.requests[0].content)
    assert str(endpoint.requests[0].url) == "http://model.test/v1/completions"
    assert {name: body[name] for name in ("echo", "max_tokens", "logprobs")} == {
        "echo": True,
        "max_tokens": 0,
        "logprobs": 0,
    }


async def test_what_candidates_have_alone_is_asked_once() -> None:
    model = Echo()
    asked = judge(model)
    await asked.score([FORWARD, replace(FORWARD, query="likes tea")])
    assert len(model.calls) == 3
    await asked.score([replace(FORWARD, query="likes jam")])
    assert len(model.calls) == 4
    assert (asked.cost.calls, asked.cost.tokens) == (4, 160)


async def test_many_candidates_alone_go_out_in_bounded_calls() -> None:
    model = Echo()
    candidates = tuple(f"thing {number}" for number in range(40))
    await judge(model).score([replace(FORWARD, candidates=candidates)])
    assert [len(prompts) for prompts in model.calls] == [17, 17, 9, 41]


@pytest.mark.parametrize("empty", ["", " \n "])
async def test_an_empty_profile_says_nothing(empty: str) -> None:
    model = Echo()
    asked = [replace(FORWARD, query=empty), replace(BACKWARD, candidates=(empty, empty))]
    assert await judge(model).score(asked) == [[0, 0], [0, 0]]


async def test_equal_candidates_tie_and_are_asked_about_once() -> None:
    model = Echo()
    (scores,) = await judge(model).score([replace(FORWARD, candidates=("bread", "x", "bread"))])
    assert scores[0] == scores[2] != scores[1]
    assert len(model.calls[-1]) == 3


async def test_long_texts_are_cut() -> None:
    model = Echo()
    await judge(model).score([replace(FORWARD, query="bread " * 900, candidates=("tea " * 900,))])
    assert max(estimate_tokens(prompt) for prompt in model.calls[-1]) < 2 * 256 + 30


async def test_a_token_that_joins_query_and_candidate_counts_as_the_candidates() -> None:
    def joining(request: httpx2.Request) -> httpx2.Response:
        prompts = json.loads(request.content)["prompt"]
        choices = []
        for at, prompt in enumerate(prompts):
            logprobs = scored(prompt.replace("\nbread", "\n+bread").replace("\ntea", "\n+tea"))
            choices.append({"index": at, "logprobs": logprobs})
        return httpx2.Response(200, json={"choices": choices})

    (scores,) = await judge(joining).score([FORWARD])
    assert scores[0] > scores[1]


def broken(**changes: Any) -> httpx2.Response:
    choices = [{"index": at, "logprobs": scored("a b c")} for at in range(3)]
    return httpx2.Response(200, json={"choices": choices, **changes})


@pytest.mark.parametrize(
    "response",
    [
        httpx2.Response(200, content=b"not json"),
        httpx2.Response(200, json=[]),
        broken(choices=[]),
        broken(choices=[{"index": 0, "logprobs": scored("a b")}] * 3),
        broken(choices=[{"index": at, "logprobs": None} for at in range(3)]),
        broken(choices=[{"index": at, "text": "a"} for at in range(3)]),
        broken(
            choices=[
                {"index": at, "logprobs": {"tokens": ["a", "b"], "token_logprobs": [None]}}
                for at in range(3)
            ]
        ),
        broken(
            choices=[
                {"index": at, "logprobs": {"tokens": ["a"], "token_logprobs": ["high"]}}
                for at in range(3)
            ]
        ),
        broken(),
        answer(500),
        answer(400),
    ],
    ids=[
        *("no json", "no object", "no choices", "one index", "no logprobs", "plain completion"),
        *("fewer values than tokens", "text for a number", "no candidate tokens", "500", "400"),
    ],
)
async def test_an_unusable_answer_is_an_error_after_bounded_retries(
    response: httpx2.Response,
) -> None:
    endpoint = Recorder(response)
    with pytest.raises(JudgeFailed, match="likelihood judge has no answer after 3 attempts"):
        await judge(endpoint).score([FORWARD])
    assert len(endpoint.requests) <= 9


async def test_an_endpoint_that_hangs_is_an_error() -> None:
    async def hang(request: httpx2.Request) -> httpx2.Response:
        await asyncio.Event().wait()
        raise AssertionError("nothing sets the event")

    asked = LikelihoodJudge(scoring_client(hang, deadline=0.02))
    with pytest.raises(JudgeFailed, match="did not finish within"):
        await asked.score([FORWARD])


async def test_a_partial_answer_is_tried_again() -> None:
    model = Echo()
    answers = iter([broken(choices=[{"index": 0, "logprobs": scored("a")}])])

    def flaky(request: httpx2.Request) -> httpx2.Response:
        return next(answers, None) or model(request)

    (scores,) = await judge(flaky).score([FORWARD])
    assert scores == pytest.approx([log(4), 0])
