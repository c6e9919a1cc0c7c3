"""`bump lamp --write-demonstrations`: the prompts of an evaluation, and none of its golds."""

from pathlib import Path
from typing import Any

import pytest

from service.commands.lamp import lamp
from service.commands.lamp_demonstrations import read_taught, write_demonstrations
from service.commands.lamp_plan import Request
from service.config import Settings
from service.domain.prompts import PROFILE_OPEN
from service.errors import ConfigurationError
from service.evaluation.lamp.demonstrations import Demonstrations, read
from service.evaluation.lamp.reading import Split
from tests.unit.evaluation.lamp.files import reviews, write, write_golds
from tests.unit.evaluation.lamp.talker import talking

TRAIN = {"t1": (4, 5, 4), "t2": (1, 2, 1), "t3": (3, 3)}
DEV = {"d1": (5, 5), "d2": (2, 4)}


def split(folder: Path, name: str, users: dict[str, tuple[int, ...]]) -> None:
    samples = [reviews(user, *scores) for user, scores in users.items()]
    write(folder / "LaMP_3" / name / f"{name}_questions.json", samples)
    golds = {user: f"{scores[0]} " for user, scores in users.items()}
    write_golds(folder / "LaMP_3" / name / f"{name}_outputs.json", "LaMP_3", **golds)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    split(tmp_path / "data", "train", TRAIN)
    split(tmp_path / "data", "dev", DEV)
    return tmp_path / "data"


def settings(url: str = "http://127.0.0.1:9/v1") -> Settings:
    return Settings(_env_file=None, downstream_url=url, downstream_model="tiny")


def asked(data: Path, **changes: Any) -> Request:
    named = {"task": "LaMP_3", "split": Split.TRAIN, "methods": "last-items", **changes}
    return Request(data, data.parent / "out", **named)


async def written(request: Request, url: str = "http://127.0.0.1:9/v1") -> Demonstrations:
    path = request.output / "demonstrations.jsonl.gz"
    await write_demonstrations(settings(url), request, read_taught(request), path)
    return read(path)


@pytest.mark.parametrize("method", ["last-items", "none", "last-items+bm25-1", "stranger"])
async def test_prompts_are_those_that_an_evaluation_asks(data: Path, method: str) -> None:
    request = asked(data, methods=method)
    with talking(lambda body: (200, "4")) as talker:
        await lamp(settings(talker.url), request)
        found = await written(request, talker.url)
    sent = [body["messages"] for body in talker.asked]
    assert len(sent) == len(TRAIN)
    taught = [row.to_json()["prompt"] for row in found.rows]
    assert sorted(map(str, taught)) == sorted(map(str, sent))
    assert (PROFILE_OPEN in str(sent)) == (method != "none")
    assert {row.sample_id: row.answer for row in found.rows} == {"t1": "4", "t2": "1", "t3": "3"}


async def test_the_file_says_what_it_was_made_of(data: Path) -> None:
    origin = (await written(asked(data))).origin
    assert (origin["task"], origin["split"], origin["method"]) == ("LaMP_3", "train", "last-items")
    assert origin["model"]["tokenizer"] == "estimated"
    assert set(origin["writers"]) == {"last-items"}
    assert origin["without_profile"] == 0


class TestRefusals:
    def refused(self, said: str, request: Request) -> None:
        with pytest.raises(ConfigurationError, match=said):
            read_taught(request)

    @pytest.mark.parametrize("other", [None, Split.DEV, Split.TEST])
    def test_any_split_but_train(self, data: Path, other: Split | None) -> None:
        self.refused("Only the train split may be taught", asked(data, split=other))

    def test_a_sample_that_is_evaluated_under_the_same_id(self, data: Path) -> None:
        split(data, "dev", DEV | {"t2": (5, 1)})
        self.refused("1 samples of the train split are evaluated as well, such as t2", asked(data))

    def test_a_sample_that_is_evaluated_under_another_id(self, data: Path) -> None:
        split(data, "test", {"e1": TRAIN["t1"]})
        self.refused("1 samples of the train split are evaluated as well, such as t1", asked(data))

    def test_a_train_split_with_nothing_beside_it(self, data: Path) -> None:
        (data / "LaMP_3/dev/dev_questions.json").unlink()
        self.refused("what is evaluated must be known", asked(data))

    @pytest.mark.parametrize("methods", ["local", "none,last-items", "none,user-mean"])
    async def test_anything_but_one_method_that_asks(self, data: Path, methods: str) -> None:
        with pytest.raises(ConfigurationError, match="Demonstrations are of one method"):
            await written(asked(data, methods=methods))

    async def test_a_place_that_cannot_be_written_to(self, data: Path) -> None:
        request = asked(data)
        with pytest.raises(ConfigurationError, match="No such file"):
            await write_demonstrations(
                settings(), request, read_taught(request), data / "missing" / "d.jsonl.gz"
            )
