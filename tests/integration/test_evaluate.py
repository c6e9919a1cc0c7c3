"""`bump evaluate` as it is called: a real process, a file of histories, rows on standard output."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from service.evaluation.baselines import BASELINES
from tests.unit.evaluation.fictional import HOBBIES, as_lines, histories

Done = subprocess.CompletedProcess[str]
CONTRACT = (
    *("--generators", "all", "--judges", "lexical", "--held-out", "4", "--negatives", "8"),
    *("--gap", "4", "--time-matched", "--seed", "7", "--json"),
)
ROW = {"generator", "judge", "forward", "backward", "total", "auc", "copy_rate", "tokens", "users"}


def bump(*arguments: str, **environment: str) -> Done:
    known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "service", "evaluate", *arguments],
        env={**known, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def plain_error(done: Done) -> str:
    """What a failed command said: one sentence, no traceback, exit status 2."""
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("bump: ")
    assert len(done.stderr.splitlines()) == 1
    return done.stderr


def write_lines(path: Path, count: int = 20) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in as_lines(histories(count))))
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lines(tmp_path_factory.mktemp("histories") / "hobbies.jsonl")


@pytest.fixture(scope="module")
def document(file: Path) -> dict[str, Any]:
    done = bump("--histories", str(file), *CONTRACT)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_generator_has_a_row_under_every_judge(document: dict[str, Any]) -> None:
    rows = document["rows"]
    assert {row["generator"] for row in rows} >= {*BASELINES, "extractive"}
    assert all(row.keys() >= ROW for row in rows)
    assert {row["judge"] for row in rows} == {"lexical"}
    assert {row["users"] for row in rows} == {len(HOBBIES)}


def test_a_mean_lies_within_its_interval(document: dict[str, Any]) -> None:
    for row in document["rows"]:
        for name in ("forward", "backward", "total"):
            low, mean, high = (row[name][bound] for bound in ("low", "mean", "high"))
            assert low <= mean <= high


def test_empty_profiles_earn_chance_and_own_ones_more(document: dict[str, Any]) -> None:
    totals = {row["generator"]: row["total"]["mean"] for row in document["rows"]}
    assert totals["empty"] == pytest.approx(document["chance"]["total"], abs=1e-6)
    assert max(totals["stranger"], totals["empty"]) < totals["extractive"]
    assert totals["keywords"] == pytest.approx(2)


def test_the_same_call_prints_the_same_bytes(file: Path) -> None:
    call = ("--histories", str(file), *CONTRACT)
    assert bump(*call).stdout == bump(*call).stdout


def test_people_get_a_table_the_best_first(file: Path) -> None:
    done = bump("--histories", str(file), "--generators", "empty,keywords", COLUMNS="160")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "chance 1.135" in lines[0]
    assert [line.split("│")[2].strip() for line in lines if "lexical" in line] == [
        "keywords",
        "empty",
    ]


def test_histories_that_are_too_short_are_an_error(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "short.jsonl", count=12)
    assert "13 interactions" in plain_error(bump("--histories", str(file), *CONTRACT))
