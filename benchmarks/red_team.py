"""What of the red team's cases reaches a prompt, by class: writes the table into the documents.

Before: the text as it is, line by line, where a profile would stand. After: as the worker stores it
and the prompt injects it. `tests/security/test_red_team.py` holds the same cases to the same result
through a running service.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.marked import write_between
from service.domain.pii import PatternRedactor
from service.domain.profile import Statement, StatementKind
from service.domain.prompts import safe_statements
from service.flows.vetting import harmless
from tests.security.red_team import Case, read_cases, structure_in

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/security.md"
START, END = "<!-- red team: made by `make red-team` -->", "<!-- end of the red team -->"


def before(case: Case) -> list[str]:
    return case.text.splitlines()


def after(case: Case) -> list[str]:
    statement = Statement("0", StatementKind.INTEREST, case.text)
    written = harmless([statement], PatternRedactor())
    return [statement.text for statement in safe_statements(s.text for s in written)]


def table(cases: Sequence[Case]) -> str:
    """Markdown: one row a class, and one for all."""
    kinds = list(dict.fromkeys(case.kind for case in cases))
    rows = [
        "| attack | cases | structure, before | after | the request itself, before | after |",
        "|---|--:|--:|--:|--:|--:|",
        *(_row(kind.replace("_", " "), [c for c in cases if c.kind == kind]) for kind in kinds),
        _row("**all**", cases),
    ]
    return "\n".join(rows)


def _row(name: str, cases: Sequence[Case]) -> str:
    counts = [
        sum(reaches(case, how(case)) for case in cases)
        for reaches in (_has_structure, _is_asked)
        for how in (before, after)
    ]
    shares = " | ".join(f"{count / len(cases):.0%}" for count in counts)
    return f"| {name} | {len(cases)} | {shares} |"


def _has_structure(_case: Case, lines: Sequence[str]) -> bool:
    return bool(structure_in(lines))


def _is_asked(case: Case, lines: Sequence[str]) -> bool:
    return case.asks in "\n".join(lines)


def main(show: Callable[[str], object] = print) -> None:
    made = table(read_cases())
    show(made)
    if "--print" in sys.argv:
        return
    write_between(PAGE, START, made, END)


if __name__ == "__main__":
    main()
