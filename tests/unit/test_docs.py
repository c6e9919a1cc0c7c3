"""What the documents name is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "benchmarks/README.md",
    *sorted((ROOT / "clients").glob("*/README.md")),
]
_NAMED_FILE = re.compile(r"`((?:tests|benchmarks|service|examples|deploy)/[\w./]+\.\w+)`")
_LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_links_exist(document: Path) -> None:
    text = document.read_text()
    named = {ROOT / name for name in _NAMED_FILE.findall(text)}
    linked = {document.parent / target for target in _LINK.findall(text)}
    assert [path for path in named | linked if not path.exists()] == []


def test_the_guarantees_name_a_test_or_benchmark_for_every_promise() -> None:
    rows = [
        line
        for line in (ROOT / "docs/guarantees.md").read_text().splitlines()
        if line.startswith("| ") and "shown by" not in line
    ]
    assert len(rows) > 20
    assert [row for row in rows if not _NAMED_FILE.search(row)] == []
