"""What a run has finished survives it, also where it was killed in the middle of a line."""

from pathlib import Path

import pytest

from service.evaluation.lamp.journal import Journal, digest
from service.evaluation.lamp.reading import UnreadableData
from service.llm.client import Sampling


def test_what_was_added_is_there_in_the_next_run(tmp_path: Path) -> None:
    Journal(tmp_path / "kept" / "answers.jsonl").add("a", {"text": "tea"})
    again = Journal(tmp_path / "kept" / "answers.jsonl")
    assert again.get("a") == {"text": "tea"}
    assert again.get("b") is None


def test_a_line_that_was_cut_short_is_forgotten_and_the_next_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    Journal(path).add("a", {"text": "tea"})
    with path.open("ab") as file:
        file.write(b'{"key": "b", "te')
    journal = Journal(path)
    assert journal.get("b") is None
    journal.add("c", {"text": "cup"})
    assert Journal(path).get("a") == {"text": "tea"}
    assert Journal(path).get("c") == {"text": "cup"}


@pytest.mark.parametrize("line", ["tea", "[1]", '{"text": "tea"}'])
def test_a_line_of_something_else_is_an_error(tmp_path: Path, line: str) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text(f"{line}\n")
    with pytest.raises(UnreadableData, match=r"Line 1 of .* move the file away"):
        Journal(path)


def test_without_a_file_it_is_kept_in_memory() -> None:
    journal = Journal(None)
    journal.add("a", {"text": "tea"})
    assert journal.get("a") == {"text": "tea"}


def test_a_key_changes_with_everything_that_it_is_of() -> None:
    keys = {
        digest("a", Sampling(max_tokens=16)),
        digest("a", Sampling(max_tokens=17)),
        digest("b", Sampling(max_tokens=16)),
        digest(["a"], Sampling(max_tokens=16)),
    }
    assert len(keys) == 4
    assert digest("a", Sampling(max_tokens=16)) in keys
