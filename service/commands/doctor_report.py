"""How `bump doctor` shows its findings: as they come, or as one JSON document."""

from dataclasses import asdict
from pathlib import Path

from rich.text import Text

from service.commands.doctor import examine
from service.commands.doctor_finding import Finding
from service.commands.printing import err, out, print_json

_MARKS = {"ok": ("ok", "green"), "warning": ("look", "yellow"), "error": ("wrong", "red")}


async def report(data_dir: Path | None, *, as_json: bool) -> bool:
    """Whether everything works, warnings aside."""
    findings: list[Finding] = []
    with err.status("Looking …"):
        async for finding in examine(data_dir):
            findings.append(finding)
            if not as_json:
                _show(finding)
    healthy = all(finding.state != "error" for finding in findings)
    if as_json:
        print_json({"healthy": healthy, "findings": [asdict(finding) for finding in findings]})
    return healthy


def _show(finding: Finding) -> None:
    mark, colour = _MARKS[finding.state]
    line = Text.assemble((f"{mark:<7}", colour), f"{finding.check:<15}", finding.found)
    out.print(line, soft_wrap=True, highlight=False)
    if finding.advice:
        out.print(f"{'':<22}{finding.advice}", soft_wrap=True, highlight=False)
