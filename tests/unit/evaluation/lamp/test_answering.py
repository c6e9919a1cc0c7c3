"""A method's questions to a model: kept, counted where they fail, given up where it is down."""

from collections.abc import Callable
from pathlib import Path

import httpx2
import orjson
import pytest

from service.domain.prompts import Message
from service.evaluation.lamp.answering import Answers, Model, ModelUnavailable
from service.evaluation.lamp.journal import Journal
from service.evaluation.lamp.tasks import Sample
from service.llm.client import Sampling
from tests.unit.evaluation.lamp.histories import tweets
from tests.unit.llm_endpoint import answer, chat_client

SAMPLES = [tweets("tea", asked=f"Tea {number}", sample_id=f"{number}") for number in range(30)]
Respond = Callable[[str], httpx2.Response]


class Endpoint:
    """Answers by what the last message says."""

    def __init__(self, respond: Respond) -> None:
        self.asked: list[str] = []
        self._respond = respond

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        said = orjson.loads(request.content)["messages"][-1]["content"]
        self.asked.append(said)
        return self._respond(said)


def messages(sample: Sample) -> list[Message]:
    return [Message("user", sample.input)]


async def answered(
    endpoint: Endpoint, journal: Journal, samples: list[Sample] = SAMPLES, tokens: int = 16
) -> Answers:
    model = Model(chat_client(endpoint), Sampling(max_tokens=tokens), journal, at_once=4)
    return await model.answer("none", samples, messages, lambda _: None)


async def test_every_sample_is_answered_and_tokens_are_told() -> None:
    found = await answered(Endpoint(lambda _: answer()), Journal(None))
    assert found.texts == {sample.sample_id: "Bread." for sample in SAMPLES}
    assert (found.prompt_tokens, found.answer_tokens, found.cut) == (12, 2, 0)
    assert found.failures == {}


async def test_what_was_answered_is_not_asked_again(tmp_path: Path) -> None:
    await answered(Endpoint(lambda _: answer()), Journal(tmp_path / "a"), SAMPLES[:10])
    again = Endpoint(lambda _: answer())
    await answered(again, Journal(tmp_path / "a"))
    assert len(again.asked) == len(SAMPLES) - 10


async def test_other_sampling_is_another_question(tmp_path: Path) -> None:
    endpoint = Endpoint(lambda _: answer())
    await answered(endpoint, Journal(tmp_path / "a"))
    await answered(endpoint, Journal(tmp_path / "a"), tokens=17)
    assert len(endpoint.asked) == 2 * len(SAMPLES)


async def test_a_failed_item_counts_as_an_empty_answer_and_is_tried_in_the_next_run() -> None:
    journal = Journal(None)
    refusing = Endpoint(lambda said: answer(400 if said.endswith("Tea 7") else 200))
    found = await answered(refusing, journal)
    assert found.texts["7"] == ""
    assert len(found.texts) == len(SAMPLES)
    assert found.failures == {"The downstream model answered 400.": 1}
    well = Endpoint(lambda _: answer())
    assert (await answered(well, journal)).texts["7"] == "Bread."
    assert len(well.asked) == 1


async def test_an_endpoint_that_answers_nothing_is_given_up() -> None:
    endpoint = Endpoint(lambda _: answer(401))
    with pytest.raises(ModelUnavailable, match=r"none of 24 questions: .* answered 401"):
        await answered(endpoint, Journal(None))
    assert len(endpoint.asked) < len(SAMPLES)


async def test_answers_that_end_at_the_token_limit_are_counted() -> None:
    cut = {"message": {"role": "assistant", "content": "Bre"}, "finish_reason": "length"}
    found = await answered(Endpoint(lambda _: answer(choices=[cut])), Journal(None))
    assert found.cut == len(SAMPLES)
