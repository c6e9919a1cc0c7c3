"""`bump evaluate` as it is called: a real process, a file of histories, rows on standard output."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from service.config import Settings
from service.db.interactions import NewInteraction
from service.domain.interaction import Interaction
from service.embedded import EmbeddedServers
from service.evaluation.baselines import BASELINES
from tests.faults.processes import eventually, service_environment
from tests.histories import Add
from tests.unit.evaluation.fictional import HOBBIES, as_lines, histories, history

Done = subprocess.CompletedProcess[str]
CONTRACT = (
    *("--generators", "all", "--judges", "lexical,embedding", "--held-out", "4"),
    *("--negatives", "8", "--gap", "4", "--time-matched", "--seed", "7", "--json"),
)
QUICK = ("--generators", "empty,keywords", "--judges", "lexical")
ROW = {"generator", "judge", "forward", "backward", "total", "auc", "copy_rate", "tokens", "users"}


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-m", "service", "evaluate", *arguments],
        env={**known, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def evaluate(*arguments: str, **environment: str) -> Done:
    with start(*arguments, **environment) as process:
        stdout, stderr = process.communicate(timeout=120)
    return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)


def document_of(done: Done) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def plain_error(done: Done) -> str:
    """What a failed command said: one sentence, no traceback, exit status 2."""
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith("bump: ")
    assert len(done.stderr.splitlines()) == 1
    return done.stderr


def write_lines(path: Path, found: dict[str, list[Interaction]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in as_lines(found)))
    return path


def totals(document: dict[str, Any], judge: str) -> dict[str, float]:
    rows = [row for row in document["rows"] if row["judge"] == judge]
    return {row["generator"]: row["total"]["mean"] for row in rows}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lines(tmp_path_factory.mktemp("histories") / "hobbies.jsonl", histories())


@pytest.fixture(scope="module")
def done(file: Path) -> Done:
    return evaluate("--histories", str(file), *CONTRACT)


@pytest.fixture(scope="module")
def document(done: Done) -> dict[str, Any]:
    return document_of(done)


class TestRows:
    def test_there_is_one_of_every_generator_under_every_judge(
        self, document: dict[str, Any]
    ) -> None:
        pairs = {(row["generator"], row["judge"]) for row in document["rows"]}
        generators = {*BASELINES, "extractive"}
        assert pairs >= {(name, judge) for name in generators for judge in ("lexical", "embedding")}
        assert all(row.keys() >= ROW for row in document["rows"])
        assert {row["users"] for row in document["rows"]} == {len(HOBBIES)}

    def test_a_mean_lies_within_its_interval(self, document: dict[str, Any]) -> None:
        for row in document["rows"]:
            for name in ("forward", "backward", "total"):
                low, mean, high = (row[name][bound] for bound in ("low", "mean", "high"))
                assert low <= mean <= high

    @pytest.mark.parametrize("judge", ["lexical", "embedding"])
    def test_empty_profiles_earn_chance_and_own_ones_more(
        self, document: dict[str, Any], judge: str
    ) -> None:
        found = totals(document, judge)
        assert found["empty"] == pytest.approx(document["chance"]["total"], abs=1e-6)
        assert max(found["stranger"], found["empty"]) + 0.2 < found["extractive"]

    def test_the_same_call_prints_the_same_bytes(self, file: Path, done: Done) -> None:
        assert evaluate("--histories", str(file), *CONTRACT).stdout == done.stdout


class TestOptions:
    def test_people_get_a_table_the_best_first(self, file: Path) -> None:
        done = evaluate("--histories", str(file), *QUICK)
        assert done.returncode == 0, done.stderr
        title, _, heads, _, *rows = done.stdout.splitlines()
        assert "12 users" in title and "chance 1.135" in title
        assert heads.split()[:2] == ["generator", "total"]
        assert [row.split()[0] for row in rows if row.strip()] == ["keywords", "empty"]

    def test_the_ungapped_setting_stands_beside_the_primary_one(self, file: Path) -> None:
        done = evaluate("--histories", str(file), *QUICK, "--also-ungapped", "--json")
        document = document_of(done)
        assert (document["setting"]["gap"], document["setting"]["time_matched"]) == (4, True)
        ungapped = document["ungapped"]
        assert (ungapped["setting"]["gap"], ungapped["setting"]["time_matched"]) == (0, False)
        assert len(ungapped["rows"]) == len(document["rows"])

    def test_several_files_are_pooled_and_shown_alone(self, file: Path, tmp_path: Path) -> None:
        longer = write_lines(tmp_path / "longer.jsonl", histories(30))
        both = ("--histories", str(file), "--histories", str(longer))
        document = document_of(evaluate(*both, *QUICK, "--json"))
        assert {row["users"] for row in document["rows"]} == {24}
        assert [part["histories"] for part in document["sets"]] == [str(file), str(longer)]
        assert [row["users"] for part in document["sets"] for row in part["rows"]] == [12] * 4

    def test_users_limits_each_set(self, file: Path) -> None:
        done = evaluate("--histories", str(file), *QUICK, "--users", "10", "--json")
        assert {row["users"] for row in document_of(done)["rows"]} == {10}

    def test_hard_asks_for_the_least_expected_interactions(self, file: Path) -> None:
        document = document_of(evaluate("--histories", str(file), *QUICK, "--hard", "--json"))
        assert document["setting"]["hard"] is True
        assert totals(document, "lexical")["empty"] == pytest.approx(1.135423)

    def test_somebody_elses_profiles_come_from_a_file(self, file: Path, tmp_path: Path) -> None:
        profiles = tmp_path / "profiles.jsonl"
        lines = [{"user_id": hobby, "text": f"Enjoys {hobby}."} for hobby in HOBBIES[1:]]
        profiles.write_text("".join(json.dumps(line) + "\n" for line in lines))
        name = f"file:{profiles}"
        call = ("--histories", str(file), "--generators", name, "--judges", "lexical", "--json")
        done = evaluate(*call)
        (row,) = document_of(done)["rows"]
        assert (row["generator"], row["without_profile"]) == (name, 1)
        assert row["total"]["mean"] > 1.8
        assert "no profile of 1 users" in done.stderr

    @pytest.mark.parametrize("name", ["plot.svg", "plot.png"])
    def test_a_plot_is_drawn(self, file: Path, tmp_path: Path, name: str) -> None:
        plot = tmp_path / name
        done = evaluate("--histories", str(file), *QUICK, "--plot", str(plot))
        assert done.returncode == 0, done.stderr
        assert plot.stat().st_size > 1_000

    async def test_a_run_that_was_killed_goes_on_and_prints_the_same(
        self, file: Path, done: Done, tmp_path: Path
    ) -> None:
        call = ("--histories", str(file), *CONTRACT, "--resume", str(tmp_path / "kept"))
        with start(*call) as process:
            await eventually(lambda: any(tmp_path.glob("kept/*.results.json")), seconds=60)
            process.kill()
        assert evaluate(*call).stdout == done.stdout


class TestLiveProject:
    async def test_users_of_a_project_are_evaluated_like_a_file(
        self, servers: EmbeddedServers, settings: Settings, project_id: str, add: Add, file: Path
    ) -> None:
        await add([event for hobby in HOBBIES for event in as_events(hobby)])
        call = ("--project", project_id, "--seed", "7", *QUICK, "--json")
        live = document_of(evaluate(*call, **service_environment(servers)))
        read = document_of(evaluate("--histories", str(file), "--seed", "7", *QUICK, "--json"))
        assert live["sets"] == [{"histories": f"project {project_id}", "users": 12, "skipped": {}}]
        assert live["rows"] == read["rows"]

    def test_a_project_without_users_is_an_error(
        self, servers: EmbeddedServers, settings: Settings, project_id: str
    ) -> None:
        done = evaluate("--project", project_id, *QUICK, **service_environment(servers))
        assert "has no user with enough interactions" in plain_error(done)

    def test_no_database_is_an_error(self, tmp_path: Path) -> None:
        done = evaluate(*QUICK, BUMP_DATA_DIR=str(tmp_path))
        assert "start `bump up` first" in plain_error(done)


def as_events(hobby: str) -> Iterable[NewInteraction]:
    return (
        NewInteraction(hobby, i.source, i.event_id, i.occurred_at, i.type, i.text, "{}")
        for i in history(hobby)
    )


class TestBadInput:
    def test_histories_that_are_too_short(self, tmp_path: Path) -> None:
        file = write_lines(tmp_path / "short.jsonl", histories(12))
        said = plain_error(evaluate("--histories", str(file), *QUICK))
        assert "short.jsonl: None of 12 users has the 13 interactions" in said

    def test_one_user_alone(self, tmp_path: Path) -> None:
        file = write_lines(tmp_path / "one.jsonl", {"chess": history("chess")})
        said = plain_error(evaluate("--histories", str(file), *QUICK))
        assert "takes more than 8 users" in said

    def test_texts_that_are_all_the_same(self, tmp_path: Path) -> None:
        found = {hobby: history("chess") for hobby in HOBBIES}
        file = write_lines(tmp_path / "same.jsonl", found)
        said = plain_error(evaluate("--histories", str(file), *QUICK))
        assert "users whose interactions differ" in said

    def test_empty_texts(self, tmp_path: Path) -> None:
        file = tmp_path / "empty.jsonl"
        lines = [{**line, "text": ""} for line in as_lines(histories())]
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        assert "rejected" in plain_error(evaluate("--histories", str(file), *QUICK))

    def test_a_file_that_is_not_there(self) -> None:
        said = plain_error(evaluate("--histories", "nowhere.jsonl", *QUICK))
        assert "nowhere.jsonl cannot be read" in said

    @pytest.mark.parametrize("generators", ["oracle", "", "empty,oracle"])
    def test_an_unknown_generator(self, file: Path, generators: str) -> None:
        call = ("--histories", str(file), "--generators", generators)
        assert "There is no generator" in plain_error(evaluate(*call))

    def test_an_unknown_judge(self, file: Path) -> None:
        call = ("--histories", str(file), "--generators", "empty", "--judges", "oracle")
        assert "There is no judge 'oracle'" in plain_error(evaluate(*call))

    def test_an_endpoint_that_nobody_serves(self, file: Path) -> None:
        call = ("--histories", str(file), "--generators", "llm", "--judges", "lexical")
        assert "needs BUMP_GENERATOR_URL" in plain_error(evaluate(*call))
        nowhere = {"BUMP_GENERATOR_URL": "http://127.0.0.1:1/v1", "BUMP_GENERATOR_MODEL": "m"}
        assert "llm:m wrote no profile of any" in plain_error(evaluate(*call, **nowhere))
