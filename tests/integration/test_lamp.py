"""`bump lamp` as it is called: LaMP's files, a model behind real HTTP, rows on standard output."""

import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from service.commands.histories import read_histories
from service.commands.lamp import lamp, read
from service.commands.lamp_histories import write_histories
from service.commands.lamp_plan import Request, preview
from service.commands.lamp_plot import plot
from service.config import Settings
from service.domain.prompts import MESSAGE_OVERHEAD_TOKENS
from service.errors import ConfigurationError
from tests.faults.processes import eventually
from tests.unit.evaluation.fictional import HOBBIES
from tests.unit.evaluation.lamp.files import entry, question, write, write_golds
from tests.unit.evaluation.lamp.talker import Talker, talking

Done = subprocess.CompletedProcess[str]
USERS = 24
STATEMENT = {"kind": "preference", "text": "Likes good kettles.", "interactions": [1, 2]}


def fictional(folder: Path, users: int = USERS) -> Path:
    """A folder of LaMP_3: everybody has a hobby, and rates what belongs to it."""
    chance = random.Random(5)
    samples, golds = [], {}
    for number in range(users):
        hobby = f"{HOBBIES[number % len(HOBBIES)]} {'kit' if number < 12 else 'book'}"
        entries = [
            entry("LaMP_3", f"{number}-{n}", text=f"{hobby} part {n}", score=str(score))
            for n, score in enumerate(chance.choices(range(1, 6), k=14))
        ]
        asked = question("LaMP_3", f"u{number}", *entries)
        asked["input"] = asked["input"].replace("A kettle that whistles", f"{hobby} no {number}")
        samples.append(asked)
        golds[f"u{number}"] = str(chance.randint(1, 5))
    write(folder / "questions.json", samples)
    write_golds(folder / "outputs.json", "LaMP_3", **golds)
    return folder


def says_four(body: dict[str, Any]) -> tuple[int, str]:
    """A profile where a schema asks for one, a summary of PAG, else a rating."""
    if "response_format" in body:
        return 200, json.dumps({"statements": [STATEMENT]})
    summary = "Describe in a few sentences" in body["messages"][-1]["content"]
    return 200, "Gives four mostly. Likes kettles." if summary else "4"


@pytest.fixture
def talker() -> Iterator[Talker]:
    with talking(says_four) as found:
        yield found


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return fictional(tmp_path / "data")


def settings(talker: Talker, **changes: Any) -> Settings:
    named = {"downstream_url": talker.url, "downstream_model": "tiny", **changes}
    return Settings(_env_file=None, **named)


async def run(data: Path, settings: Settings, methods: str, **changes: Any) -> dict[str, Any]:
    output = changes.pop("output", data.parent / "out")
    return await lamp(settings, Request(data, output, methods=methods, **changes))


def by_method(document: dict[str, Any]) -> dict[str, Any]:
    return {row["method"]: row for row in document["rows"]}


def command(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-m", "service", "lamp", *arguments],
        env={**known, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def done(*arguments: str, **environment: str) -> Done:
    with command(*arguments, **environment) as process:
        stdout, stderr = process.communicate(timeout=120)
    return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)


class TestRows:
    async def test_every_method_of_the_standard_set_is_a_row(
        self, data: Path, talker: Talker
    ) -> None:
        document = await run(data, settings(talker), "all")
        rows = by_method(document)
        assert {"user-median", "history-ratings", "none", "bm25-4", "full-history"} <= rows.keys()
        assert {"pag", "llm", "extractive-trained", "llm+bm25-4", "stranger"} <= rows.keys()
        assert {row["samples"] for row in rows.values()} == {USERS}
        assert rows["none"]["metrics"] == rows["llm"]["metrics"]
        assert rows["none"]["prompt_tokens"] == 40
        assert set(rows["llm"]["against"]) == {"none", document["best_floor"]}

    async def test_profiles_are_written_once_and_shown_by_every_method_that_takes_them(
        self, data: Path, talker: Talker
    ) -> None:
        await run(data, settings(talker), "llm,llm+bm25-1,llm+last-2")
        asked_for_profiles = [body for body in talker.asked if "response_format" in body]
        shown = [prompt for prompt in talker.prompts() if "Likes good kettles." in prompt]
        assert (len(asked_for_profiles), len(shown)) == (USERS, 3 * USERS)

    async def test_profiles_have_bumps_number_and_it_is_correlated(
        self, data: Path, talker: Talker
    ) -> None:
        talker.say = lambda body: (200, str(len(str(body)) % 5 + 1))
        document = await run(data, settings(talker), "none,extractive,keywords,stranger")
        found = {row["source"]: row["total"]["mean"] for row in document["profiles"]}
        assert found["none"] == pytest.approx(document["chance"]["total"], abs=1e-4)
        assert found["extractive"] > found["stranger"]
        (row,) = document["correlations"]
        assert set(row["methods"]) == {"none", "extractive", "keywords", "stranger"}
        plot(document, data.parent / "plot.svg")
        assert "BUMP" in (data.parent / "plot.svg").read_text()

    async def test_the_trained_model_of_the_same_server_is_another_row(
        self, data: Path, talker: Talker
    ) -> None:
        await run(data, settings(talker), "llm,llm:bump-trained")
        models = [body["model"] for body in talker.asked if "response_format" in body]
        assert sorted(set(models)) == ["bump-trained", "tiny"]

    async def test_what_is_written_is_what_lamps_evaluator_reads(
        self, data: Path, talker: Talker
    ) -> None:
        await run(data, settings(talker), "none,user-median")
        predictions = json.loads((data.parent / "out/predictions/none.json").read_text())
        golds = json.loads((data / "outputs.json").read_text())
        assert predictions["task"] == golds["task"]
        assert [one["id"] for one in predictions["golds"]] == [one["id"] for one in golds["golds"]]
        assert {one["output"] for one in predictions["golds"]} == {"4"}

    async def test_a_limit_draws_the_same_samples_for_the_same_seed(
        self, data: Path, talker: Talker
    ) -> None:
        async def drawn(seed: int) -> list[str]:
            out = data.parent / f"{seed}"
            await run(data, settings(talker), "user-mean", limit=5, seed=seed, output=out)
            found = json.loads((out / "predictions/user-mean.json").read_text())
            return [one["id"] for one in found["golds"]]

        first = await drawn(1)
        assert len(first) == 5
        assert first == await drawn(1) != await drawn(2)


class TestFailures:
    async def test_items_that_fail_stay_in_the_denominator(
        self, data: Path, talker: Talker
    ) -> None:
        talker.say = lambda body: (400 if " no 7" in str(body) else 200, "4")
        row = by_method(await run(data, settings(talker), "none"))["none"]
        assert (row["samples"], row["failed"]) == (USERS, 1)
        assert row["failures"] == {"The downstream model answered 400.": 1}

    async def test_the_next_run_asks_for_what_failed_and_for_nothing_else(
        self, data: Path, talker: Talker
    ) -> None:
        talker.say = lambda body: (400 if " no 7" in str(body) else 200, "4")
        await run(data, settings(talker), "none")
        talker.say = says_four
        talker.asked.clear()
        assert by_method(await run(data, settings(talker), "none"))["none"]["failed"] == 0
        assert len(talker.asked) == 1

    async def test_a_model_that_answers_nothing_is_one_sentence(
        self, data: Path, talker: Talker
    ) -> None:
        talker.say = lambda body: (401, "")
        with pytest.raises(ConfigurationError, match="The model answered none of"):
            await run(data, settings(talker), "none")

    async def test_a_writer_without_usable_profiles_is_one_sentence(
        self, data: Path, talker: Talker
    ) -> None:
        talker.say = lambda body: (200, "no JSON")
        with pytest.raises(ConfigurationError, match="llm wrote no profile of any of 24 users"):
            await run(data, settings(talker), "llm")

    async def test_a_malformed_sample_counts_as_an_empty_answer(
        self, data: Path, talker: Talker
    ) -> None:
        samples = json.loads((data / "questions.json").read_text())
        samples[3]["input"] = None
        write(data / "questions.json", samples)
        document = await run(data, settings(talker), "none,user-mean")
        assert document["unanswerable"] == 1
        assert document["first_problems"] == ["u3: input is missing"]
        assert {row["samples"] for row in document["rows"]} == {USERS}


class TestBadInput:
    @pytest.mark.parametrize(
        ("methods", "said"),
        [
            ("oracle", "There is no method 'oracle'"),
            ("", "There is no method to run"),
            ("copy-input", "There is no method 'copy-input'.*Without a model LaMP_3 has"),
        ],
    )
    async def test_an_unknown_method(
        self, data: Path, talker: Talker, methods: str, said: str
    ) -> None:
        with pytest.raises(ConfigurationError, match=said):
            await run(data, settings(talker), methods)

    async def test_no_model_to_ask(self, data: Path) -> None:
        with pytest.raises(ConfigurationError, match="Name the model to ask: --url"):
            await run(data, Settings(_env_file=None), "none")

    async def test_a_learned_method_with_too_few_users(self, data: Path, talker: Talker) -> None:
        with pytest.raises(ConfigurationError, match="too few to learn from: 20 are needed"):
            await run(data, settings(talker), "history-ratings", limit=5)

    async def test_golds_of_other_questions(self, data: Path, talker: Talker) -> None:
        write_golds(data / "outputs.json", "LaMP_3", u1="4", u99="5")
        with pytest.raises(ConfigurationError, match=r"lacks 1 samples that have a gold.*u99"):
            await run(data, settings(talker), "none")

    async def test_a_truncated_file(self, data: Path, talker: Talker) -> None:
        path = data / "questions.json"
        path.write_bytes(path.read_bytes()[:-500])
        with pytest.raises(ConfigurationError, match="cannot be read after 23 samples"):
            await run(data, settings(talker), "none")

    async def test_a_task_that_nobody_names(self, data: Path, talker: Talker) -> None:
        (data / "outputs.json").unlink()
        with pytest.raises(ConfigurationError, match="name it with --task"):
            await run(data, settings(talker), "none")


class TestPreview:
    async def test_it_counts_calls_and_tokens_and_calls_nobody(
        self, data: Path, talker: Talker
    ) -> None:
        request = Request(data, data.parent / "out", methods="none,bm25-4,llm")
        found = preview(settings(talker), request, read(request))
        none, bm25, llm = found["methods"]
        assert found["calls"] == 3 * USERS
        assert none["prompt_tokens"]["mean"] < bm25["prompt_tokens"]["mean"]
        assert llm["plus_profile_up_to"] == 400
        assert found["profiles"] == {"llm": "tiny"}
        assert talker.asked == []
        assert not request.output.exists()

    async def test_tokens_are_those_of_the_models_own_tokenizer(
        self, data: Path, talker: Talker
    ) -> None:
        vocabulary = Tokenizer(WordLevel({"?": 0}, unk_token="?"))
        vocabulary.pre_tokenizer = WhitespaceSplit()
        file = data.parent / "tokenizer.json"
        vocabulary.save(str(file))
        request = Request(data, data.parent / "out", methods="none")
        found = preview(settings(talker, downstream_tokenizer=file), request, read(request))
        (none,) = found["methods"]
        question = none["first_prompt"][0]["content"]
        most = max(len(sample.input.split()) for sample in read(request).samples)
        assert none["prompt_tokens"]["most"] == most + MESSAGE_OVERHEAD_TOKENS
        assert question.endswith(" no 0")

    async def test_a_file_that_is_no_tokenizer_is_an_error(
        self, data: Path, talker: Talker
    ) -> None:
        request = Request(data, data.parent / "out", methods="none")
        with pytest.raises(ConfigurationError, match=r"cannot be read as a tokenizer\.json"):
            preview(settings(talker, downstream_tokenizer=data), request, read(request))


class TestHistories:
    def test_they_are_written_as_training_reads_them(self, data: Path) -> None:
        path = data.parent / "histories.jsonl.gz"
        written = write_histories(Request(data, data.parent / "out"), path)
        assert (written.users, written.interactions) == (USERS, 14 * USERS)
        found = read_histories(path)
        assert found.rejected == 0
        assert {len(history) for history in found.histories.values()} == {14}
        assert found.histories["u0"][0].attributes["rating"] in range(1, 6)

    def test_a_place_that_cannot_be_written_to_is_an_error(self, data: Path) -> None:
        with pytest.raises(ConfigurationError, match="No such file"):
            write_histories(Request(data, data), data / "missing" / "histories.jsonl.gz")


@pytest.mark.slow
class TestCommand:
    def test_people_get_a_table_and_programs_json(self, data: Path, tmp_path: Path) -> None:
        call = (str(data), "--output", str(tmp_path / "out"), "--methods", "user-mean,user-median")
        people = done(*call)
        assert people.returncode == 0, people.stderr
        assert people.stdout.startswith("LaMP_3, 24 samples")
        assert "user-median" in people.stdout
        programs = done(*call, "--json", "--plot", str(tmp_path / "plot.png"))
        rows = json.loads(programs.stdout)["rows"]
        assert [row["method"] for row in rows] == ["user-mean", "user-median"]
        assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")

    async def test_a_run_that_was_killed_goes_on_where_it_was(
        self, data: Path, tmp_path: Path, talker: Talker
    ) -> None:
        call = (str(data), "--output", str(tmp_path / "out"), "--methods", "none,last-2", "--json")
        named = ("--url", talker.url, "--model", "tiny", "--concurrency", "4")
        hold = threading.Event()

        def answers_ten(body: dict[str, Any]) -> tuple[int, str]:
            if len(talker.asked) > 10:
                hold.wait(30)
            return 200, "4"

        talker.say = answers_ten
        kept = tmp_path / "out" / "answers.jsonl"
        with command(*call, *named) as process:
            await eventually(
                lambda: kept.exists() and len(kept.read_bytes().splitlines()) >= 10, seconds=60
            )
            process.kill()
        hold.set()
        talker.say = says_four
        before = len(kept.read_bytes().splitlines())
        talker.asked.clear()
        resumed = done(*call, *named)
        assert resumed.returncode == 0, resumed.stderr
        assert len(talker.asked) == 2 * USERS - before
        fresh = done(str(data), "--output", str(tmp_path / "new"), *call[3:], *named)
        assert json.loads(fresh.stdout)["rows"] == json.loads(resumed.stdout)["rows"]

    def test_what_cannot_be_run_is_one_sentence(self, data: Path, tmp_path: Path) -> None:
        (data / "outputs.json").unlink()
        failed = done(str(data), "--task", "LaMP_3", "--output", str(tmp_path / "out"))
        assert (failed.returncode, failed.stdout) == (2, "")
        assert failed.stderr.startswith("bump: ")
        assert len(failed.stderr.splitlines()) == 1
