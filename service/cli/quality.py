"""`bump quality`."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.options import AsJson, DataDir, Project, fail, run_async
from service.commands.printing import err, print_json, show_rows

if TYPE_CHECKING:
    from service.db.prequential import GeneratorQuality, UserQuality


def quality(
    project: Project = "default",
    days: Annotated[int, typer.Option(min=1, help="Look back so far.")] = 30,
    worst: Annotated[int, typer.Option(min=0, help="So many of the worst users.")] = 10,
    plot: Annotated[
        Path | None, typer.Option(help="Write the scores day by day to this SVG file.")
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show how well profiles predict what users do next: by generator, and the worst users."""
    from service.commands.quality import read_quality
    from service.commands.quality_plot import draw
    from service.commands.settings import resolve_settings

    found = run_async(read_quality(resolve_settings(data_dir), project, days=days, worst=worst))
    if plot is not None:
        if not found.days:
            fail(f"Nothing was scored in project {project} in {days} days: there is no plot.")
        plot.write_text(draw(found.days))
        err.print(f"Wrote {plot}.")
    if as_json:
        print_json(found.document())
        return
    nothing = f"Nothing was scored by the {found.judge} judge in project {project} in {days} days."
    show_rows(_rounded(found.generators), False, empty=nothing)
    if found.worst_users:
        show_rows(_rounded(found.worst_users), False, empty="")


def _rounded(rows: "Sequence[GeneratorQuality] | Sequence[UserQuality]") -> list[dict[str, Any]]:
    return [
        {k: round(v, 3) if isinstance(v, float) else v for k, v in asdict(row).items()}
        for row in rows
    ]
