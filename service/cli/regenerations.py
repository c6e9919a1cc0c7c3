"""`bump regenerations`."""

from typing import Annotated, Literal

import typer

from service.cli.options import AsJson, DataDir, Project, run_async
from service.commands.printing import err, out, print_json, show_fields, show_rows

app = typer.Typer(
    help="Show whose profile waits to be rewritten and why, and wake what is parked.",
    no_args_is_help=True,
)


@app.command("list")
def queue_list(
    project: Project = "default",
    state: Annotated[
        Literal["all", "waiting", "parked"], typer.Option(help="Which of them.")
    ] = "all",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """List the users whose profile waits to be rewritten."""
    from dataclasses import asdict

    from service.commands.queue_inspection import list_records, table_row
    from service.commands.settings import resolve_settings

    records = run_async(list_records(resolve_settings(data_dir), project, state, limit))
    rows = [asdict(record) if as_json else table_row(record) for record in records]
    show_rows(rows, as_json, empty="Nothing waits.")


@app.command("requeue")
def queue_requeue(
    user_id: Annotated[str | None, typer.Argument(help="Without: every parked user.")] = None,
    project: Project = "default",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Wake what is parked."""
    from service.commands.queue_inspection import requeue
    from service.commands.settings import resolve_settings

    count = run_async(requeue(resolve_settings(data_dir), project, user_id))
    if as_json:
        print_json({"requeued": count})
    else:
        err.print(f"{count} regenerations asked for.")


@app.command("explain")
def queue_explain(
    user_id: str, project: Project = "default", as_json: AsJson = False, data_dir: DataDir = None
) -> None:
    """Say why a user's profile is as it is, and what happens next."""
    from service.commands.queue_inspection import explain
    from service.commands.settings import resolve_settings

    found = run_async(explain(resolve_settings(data_dir), project, user_id))
    if as_json:
        print_json(found)
        return
    out.print(found.pop("verdict"))
    show_fields(found)
