"""`bump sensitive`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.options import AsJson, DataDir, Project, fail, run_async
from service.commands.printing import out, print_json

if TYPE_CHECKING:
    from service.domain.sensitive import SensitiveCategory


def sensitive(
    allow: Annotated[list[str], typer.Option(help="A category; repeat for more.")] = [],  # noqa: B006 - typer reads it once
    forbid: Annotated[list[str], typer.Option(help="A category; repeat for more.")] = [],  # noqa: B006
    project: Project = "default",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show or set which sensitive categories profiles may speak of.

    All are off until they are allowed.
    """
    from service.commands.sensitive_categories import change_allowed
    from service.commands.settings import resolve_settings
    from service.domain.sensitive import SensitiveCategory

    settings = resolve_settings(data_dir)
    changes = change_allowed(settings, project, _categories(allow), _categories(forbid))
    allowed = run_async(changes)
    rows = {category.value: category in allowed for category in SensitiveCategory}
    if as_json:
        print_json(rows)
        return
    for name, on in rows.items():
        out.print(f"{name:<11} {'allowed' if on else 'off'}")


def _categories(names: Sequence[str]) -> list["SensitiveCategory"]:
    from service.domain.sensitive import SensitiveCategory

    for name in names:
        if name not in set(SensitiveCategory):
            fail(f"Unknown category {name!r}: use {', '.join(SensitiveCategory)}.")
    return [SensitiveCategory(name) for name in names]
