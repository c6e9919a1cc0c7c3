"""`bump generators`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli.options import AsJson, DataDir, Project, run_async
from service.commands.printing import out, print_json, show_fields, show_rows

app = typer.Typer(
    help="Take trained generators through the gate to everybody, and back.", no_args_is_help=True
)


@app.command("list")
def generators_list(
    project: Project = "default", as_json: AsJson = False, data_dir: DataDir = None
) -> None:
    """List what was trained or registered."""
    from dataclasses import asdict

    from service.commands.generators import list_generators
    from service.commands.settings import resolve_settings

    found = run_async(list_generators(resolve_settings(data_dir), project))
    shown = ("name", "kind", "status", "created_at", "last_error")
    rows = [
        asdict(one) if as_json else {name: getattr(one, name) for name in shown} for one in found
    ]
    show_rows(rows, as_json, empty=f"Project {project} has no registered generator.")


@app.command("show")
def generators_show(
    name: str, project: Project = "default", as_json: AsJson = False, data_dir: DataDir = None
) -> None:
    """Show where a generator stands, how it scores, and every decision about it."""
    from service.commands.generators import show_generator
    from service.commands.settings import resolve_settings

    found = run_async(show_generator(resolve_settings(data_dir), project, name))
    if as_json:
        print_json(found)
        return
    show_fields(found.pop("generator"), indent="")
    for decision in found.pop("decisions"):
        out.print(f"{decision['decided_at']:%Y-%m-%d %H:%M:%S} {decision['decision']}")
        show_fields({key: decision[key] for key in ("actor", "control", "to_stage", "evidence")})
    show_fields({key: value for key, value in found.items() if value is not None}, indent="")


@app.command("register")
def generators_register(
    folder: Annotated[
        Path | None, typer.Argument(help="policy/ or adapter/ of a training.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Instead: a model that the LLM server has.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the generator in this project.")] = None,
    project: Project = "default",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Take an artifact into the store, as a candidate."""
    from dataclasses import asdict

    from service.commands.generators import register
    from service.commands.settings import resolve_settings

    found = run_async(register(resolve_settings(data_dir), project, folder, model, name))
    _show(asdict(found), as_json, found.name)


@app.command("evaluate")
def generators_evaluate(
    name: str,
    project: Project = "default",
    judge: Annotated[
        str | None, typer.Option(help="Never the one that trained it; by default another one.")
    ] = None,
    users: Annotated[int, typer.Option(min=2, help="At most so many that no training saw.")] = 400,
    tolerance: Annotated[
        float, typer.Option(min=0.0001, max=2, help="How much less reward is put up with.")
    ] = 0.05,
    seed: Annotated[int, typer.Option(help="Of the users and the resamplings.")] = 0,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Put a candidate to the gate. Status 1: refused."""
    from service.commands.generators import actor, evaluate
    from service.commands.settings import resolve_settings
    from service.flows.evaluate_candidate import GateRequest

    request = GateRequest(name, actor(), judge, users, tolerance, seed)
    found = run_async(evaluate(resolve_settings(data_dir), project, request))
    _show(found.document, as_json, "passed" if found.passed else "refused")
    raise typer.Exit(0 if found.passed else 1)


@app.command("promote")
def generators_promote(
    name: str,
    project: Project = "default",
    stage: Annotated[
        str | None, typer.Option(help="shadow, share or full; by default the next.")
    ] = None,
    share: Annotated[
        float | None, typer.Option(min=0, max=1, help="Of the users, for whom both write.")
    ] = None,
    auto: Annotated[
        bool | None, typer.Option("--auto/--by-hand", help="Workers take it further.")
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Take a candidate that passed the gate one stage further."""
    from service.commands import generators
    from service.commands.settings import resolve_settings
    from service.flows.promote import Step

    step = Step(generators.actor(), generators.stage(stage), share, auto)
    found = run_async(generators.promote_candidate(resolve_settings(data_dir), project, name, step))
    _show(found, as_json, f"{name} is at the stage {found['stage']}")


@app.command("rollback")
def generators_rollback(
    project: Project = "default", as_json: AsJson = False, data_dir: DataDir = None
) -> None:
    """Take the candidate back at whatever stage it is, and what it wrote."""
    from service.commands.generators import roll_back
    from service.commands.settings import resolve_settings

    found = run_async(roll_back(resolve_settings(data_dir), project))
    _show(found, as_json, f"{found['candidate']} is rolled back")


def _show(document: dict[str, Any], as_json: bool, said: str) -> None:
    if as_json:
        print_json(document)
        return
    out.print(said, highlight=False)
    show_fields(document)
