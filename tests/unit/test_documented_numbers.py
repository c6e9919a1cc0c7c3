"""The numbers of the README, docs/concepts.md and docs/configuration.md are the code's."""

import json
import re
import runpy
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

from benchmarks import quality
from benchmarks.quality_page import summary
from service.bump.gate import allowed_error
from service.bump.ranking import chance
from service.config import Settings

ROOT = Path(__file__).parents[2]
CONCEPTS = (ROOT / "docs/concepts.md").read_text()


def test_the_worked_example_is_what_its_program_prints(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples/bump_in_numbers.py"), run_name="__main__")
    assert f"```text\n{capsys.readouterr().out}```\n" in CONCEPTS


@pytest.mark.parametrize("name", ["specific", "half", "vague"])
def test_the_profiles_are_those_of_the_program(name: str) -> None:
    profiles = runpy.run_path(str(ROOT / "examples/bump_in_numbers.py"))["PROFILES"]
    assert f"| {name} | {profiles[name]} |" in CONCEPTS


def test_the_sums_on_the_way_come_out() -> None:
    sums = re.findall(r"^    \w+ = \((.+?)\) / \(?(.+?)\)? = (\.\d+)$", CONCEPTS, re.MULTILINE)
    assert len(sums) == 2
    for above, below, result in sums:
        value = total(above) / total(below)
        # The terms are rounded to three digits, and so may be off by one in the last.
        assert value == pytest.approx(float(result), abs=0.0011)


def test_chance_and_the_errors_of_the_gate_are_as_stated() -> None:
    # (P, K) as the page names them: forward ranks P + K candidates, backward K + 1.
    assert shown(chance(12, 4)) in CONCEPTS and shown(chance(9, 1)) in CONCEPTS
    assert f"{chance(12, 4) + chance(9, 1):.3f}" in CONCEPTS
    for attempt, stated in ((1, "2.5 %"), (2, "0.83 %"), (3, "0.42 %")):
        assert f"{100 * allowed_error(attempt):.2g} %" == stated
        assert stated in CONCEPTS


def total(terms: str) -> float:
    return sum(map(float, terms.split(" + ")))


def shown(number: float) -> str:
    return f"{number:.3f}".removeprefix("0")


def test_every_setting_stands_with_its_default_and_none_that_is_gone() -> None:
    page = (ROOT / "docs/configuration.md").read_text()
    stated = re.findall(r"^\| `(BUMP_\w+)` \| (?:`(.*?)`)? \| .+ \|$", page, re.MULTILINE)
    known = [(f"BUMP_{name.upper()}", default(f)) for name, f in Settings.model_fields.items()]
    assert sorted(stated) == sorted(known)


def test_the_readme_shows_what_was_measured() -> None:
    readme = (ROOT / "README.md").read_text()
    measured = json.loads((ROOT / "benchmarks/quality.json").read_text())
    assert f"{quality.START}\n{summary(measured)}\n{quality.END}" in readme


def test_the_readme_says_what_gets_through_as_the_red_team_found_it() -> None:
    readme = " ".join((ROOT / "README.md").read_text().split())
    page = (ROOT / "docs/security.md").read_text()
    cases, structure, request = re.search(
        r"\| \*\*all\*\* \| (\d+) \| \S+ \| (\S+) \| \S+ \| (\S+) \|", page
    ).groups()  # type: ignore[union-attr]
    (reworded,) = re.findall(r"\| rephrased command \|.*\| (\S+) \|", page)
    assert structure == "0%"
    assert f"Of the red team's {cases} attacks, none" in readme
    assert f"and {request} with the request itself" in readme
    assert f"in other words, {reworded} do" in readme


def default(field: FieldInfo) -> str:
    if field.default is None:
        return ""
    return str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
