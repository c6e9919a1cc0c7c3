"""`bump keys`."""

from typing import Annotated

import typer

from service.cli.options import AsJson, DataDir, Project, fail, run_async
from service.commands.printing import err, print_json, show_key, show_rows

app = typer.Typer(help="Create, list, rotate and revoke API keys.", no_args_is_help=True)


@app.command("create")
def keys_create(
    project: Project = "default",
    name: Annotated[str, typer.Option(help="What the key is for.")] = "default",
    scope: Annotated[
        list[str], typer.Option(help="ingest, read, personalize or admin; repeat for more.")
    ] = ["ingest", "read", "personalize"],  # noqa: B006 - typer reads it once
    days: Annotated[float | None, typer.Option(min=0, help="Expires after so many days.")] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Create a key. It is shown once."""
    from service.commands.keys import create_key
    from service.commands.settings import resolve_settings
    from service.db.projects import Scope

    unknown = set(scope) - set(Scope)
    if unknown:
        fail(f"Unknown scope {sorted(unknown)[0]!r}: use ingest, read, personalize or admin.")
    scopes = [Scope(value) for value in scope]
    show_key(
        run_async(create_key(resolve_settings(data_dir), project, name, scopes, days)), as_json
    )


@app.command("list")
def keys_list(
    project: Project = "default", as_json: AsJson = False, data_dir: DataDir = None
) -> None:
    """List a project's keys, without their secrets."""
    from service.commands.keys import list_keys
    from service.commands.settings import resolve_settings

    rows = [
        {
            "prefix": key.prefix,
            "name": key.name,
            "scopes": " ".join(sorted(key.scopes)),
            "created_at": key.created_at,
            "expires_at": key.expires_at,
            "revoked_at": key.revoked_at,
        }
        for key in run_async(list_keys(resolve_settings(data_dir), project))
    ]
    show_rows(rows, as_json, empty=f"Project {project} has no keys.")


@app.command("revoke")
def keys_revoke(
    prefix: str, project: Project = "default", as_json: AsJson = False, data_dir: DataDir = None
) -> None:
    """Revoke a key by its prefix (the part after `bump_`). It ends within seconds."""
    from service.commands.keys import revoke_key
    from service.commands.settings import resolve_settings

    if not run_async(revoke_key(resolve_settings(data_dir), project, prefix)):
        fail(f"Project {project} has no live key {prefix}.")
    if as_json:
        print_json({"revoked": prefix})
    else:
        err.print(f"Revoked {prefix}.")


@app.command("rotate")
def keys_rotate(
    prefix: str, project: Project = "default", as_json: AsJson = False, data_dir: DataDir = None
) -> None:
    """Create a successor with the same scopes; the old key works for another day."""
    from service.commands.keys import rotate_key
    from service.commands.settings import resolve_settings

    key = run_async(rotate_key(resolve_settings(data_dir), project, prefix))
    if key is None:
        fail(f"Project {project} has no live key {prefix}.")
    show_key(key, as_json)
