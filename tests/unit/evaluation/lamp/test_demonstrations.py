"""Demonstrations come back as they were written, and a file that is none says so."""

import gzip
from pathlib import Path

import pytest

from service.domain.prompts import Message
from service.evaluation.lamp.demonstrations import Demonstration, read, write
from service.evaluation.lamp.reading import UnreadableData

ORIGIN = {"task": "LaMP_3", "method": "llm"}
ROWS = (
    Demonstration("u1", (Message("system", "Guard"), Message("user", "A kettle\nthat sings")), "4"),
    Demonstration("u2", (Message("user", "Größe"),), "5"),
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert write(tmp_path / "d.jsonl.gz", ORIGIN, ROWS) == 2
    found = read(tmp_path / "d.jsonl.gz")
    assert (found.origin, found.rows) == (ORIGIN, ROWS)


def test_columns_are_those_of_trls_conversational_prompt_completion_format() -> None:
    assert ROWS[1].to_json() == {
        "id": "u2",
        "prompt": [{"role": "user", "content": "Größe"}],
        "completion": [{"role": "assistant", "content": "5"}],
    }


def test_a_file_that_is_missing_or_cut_short_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl.gz"
    with pytest.raises(UnreadableData, match="cannot be read"):
        read(path)
    write(path, ORIGIN, ROWS)
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(UnreadableData, match="cannot be read"):
        read(path)


@pytest.mark.parametrize(
    "line", [b"not json", b"[]", b'{"user_id": "u1"}', b'{"origin": {}}\n{"id": "u1"}']
)
def test_a_file_of_something_else_is_none_of_ours(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "d.jsonl.gz"
    path.write_bytes(gzip.compress(line))
    with pytest.raises(UnreadableData, match="no file that `bump lamp --write-demonstrations`"):
        read(path)


def test_a_file_without_a_row_teaches_nothing(tmp_path: Path) -> None:
    write(tmp_path / "d.jsonl.gz", ORIGIN, ())
    with pytest.raises(UnreadableData, match="holds no demonstration"):
        read(tmp_path / "d.jsonl.gz")
