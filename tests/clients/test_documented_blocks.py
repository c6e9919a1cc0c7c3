"""Every code block of README.md and docs/quickstart.md is run, as it stands, by a real `bump up`.

The blocks of a document run in order, for they build on one another. What is shown as JSON must be
what the block before has answered, but for what the page leaves open ("…").
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.embedded_stacks import open_directory
from tests.integration.up_process import ENVIRONMENT, running

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("README.md", "docs/quickstart.md")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_ADDRESS = re.compile(r"(?:localhost|127\.0\.0\.1):8000")
_OPEN = "…"

# By their first line: what these tests cannot run, and why. All other programs are run.
NOT_RUN = {
    "make demo": "installs the project; then a stack like the one that these blocks are run by",
    "make up": "does nothing but `bump up`, which runs here already",
    "source .venv/bin/activate": "starts `bump up`, which runs here already",
    "bump up --downstream": "the same with another model, which is not there",
    "bump train llm": "needs torch and a server of language models",
    "bump serve": "serves until it is stopped, and so does the worker; `bump up` has started both",
}


@dataclass(frozen=True, slots=True)
class Block:
    document: str
    line: int
    language: str
    code: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"

    @property
    def reason(self) -> str | None:
        """Why it is not run; None: it is."""
        found = [NOT_RUN[start] for start in NOT_RUN if self.code.startswith(start)]
        return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Stack:
    """Where the blocks are run: a stack as `bump up` starts it, and what a reader's shell has."""

    address: str
    directory: Path
    environment: dict[str, str]

    def run(self, block: Block) -> str:
        """What the block has written to standard output; fails when it fails."""
        code = _ADDRESS.sub(self.address, block.code)
        shell = ["bash", "-euo", "pipefail", "-c"]
        command = [sys.executable, "-c"] if block.language == "python" else shell
        done = subprocess.run(
            [*command, code],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{block}\n{code}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def blocks(document: str) -> list[Block]:
    text = (ROOT / document).read_text()
    return [
        Block(document, text.count("\n", 0, found.start()) + 1, found[1], found[2])
        for found in _FENCE.finditer(text)
    ]


@pytest.fixture
def stack() -> Iterator[Stack]:
    """One a document: the profile of a user says what it says among the users that are there."""
    with open_directory() as place, running(place / "bump") as up:
        (place / "shell").mkdir()
        # Blocks name files of the checkout; its `.env` must not change what they do.
        (place / "shell/examples").symlink_to(ROOT / "examples")
        # An answer that is an error is one for curl too, and no proxy stands on the way to it.
        (place / "shell/.curlrc").write_text('fail-with-body\nnoproxy = "*"\n')
        environment = {
            **ENVIRONMENT,
            "BUMP_DATA_DIR": str(place / "bump"),
            "CURL_HOME": str(place / "shell"),
            "NO_PROXY": "*",
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        }
        yield Stack(up.client.base_url.netloc.decode(), place / "shell", environment)


@pytest.mark.slow
@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_program_runs_and_answers_what_is_shown(document: str, stack: Stack) -> None:
    answer = ""
    for block in blocks(document):
        if block.language == "json":
            assert_shown(json.loads(block.code), json.loads(answer), str(block))
        elif block.language != "text" and block.reason is None:
            answer = stack.run(block)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_block_says_whether_it_is_a_program_an_answer_or_a_drawing(document: str) -> None:
    found = blocks(document)
    assert len(found) == (ROOT / document).read_text().count("\n```") // 2
    assert {block.language for block in found} <= {"bash", "python", "json", "text"}
    for before, block in pairwise(found):
        # An answer belongs to the program right before it.
        assert block.language != "json" or (before.language, before.reason) == ("bash", None)


def test_what_is_not_run_is_there_and_little() -> None:
    programs = [b for d in DOCUMENTS for b in blocks(d) if b.language in ("bash", "python")]
    unused = [s for s in NOT_RUN if not any(b.code.startswith(s) for b in programs)]
    assert unused == []
    assert len([block for block in programs if block.reason]) < len(programs) / 3


def test_the_program_of_the_quickstart_has_ten_lines() -> None:
    (program,) = (b.code for b in blocks("docs/quickstart.md") if b.language == "python")
    assert len([line for line in program.splitlines() if line.strip()]) <= 10


def assert_shown(shown: Any, real: Any, where: str) -> None:
    """`real` is what is `shown`; there may be more of it where the page says "…"."""
    if shown == _OPEN:
        return
    if isinstance(shown, dict):
        assert shown.keys() == real.keys(), where
        for key in shown:
            assert_shown(shown[key], real[key], f"{where} {key}")
    elif isinstance(shown, list):
        assert len(shown) == len(real) or _OPEN in shown, where
        for number, part in enumerate(shown):
            if part != _OPEN:
                assert_shown(part, real[number], f"{where} [{number}]")
    elif isinstance(shown, str) and _OPEN in shown:
        pattern = ".*".join(map(re.escape, shown.split(_OPEN)))
        assert re.fullmatch(pattern, real, re.DOTALL), f"{where}: {real!r}"
    else:
        assert shown == real, where
