"""The command line. Every command imports what it needs when it runs, so `bump --help` is quick."""

from pathlib import Path
from typing import Annotated

import typer

from service.cli import backfill, generators, keys, regenerations, train
from service.cli.doctor import doctor
from service.cli.evaluate import evaluate
from service.cli.lamp import lamp
from service.cli.limits import limits
from service.cli.manual import EPILOG, INTRODUCTION, Manual
from service.cli.mcp_server import mcp
from service.cli.options import AsJson, DataDir, Project, fail, run_async
from service.cli.quality import quality
from service.cli.sensitive import sensitive
from service.cli.top import top
from service.commands.printing import err, out, print_json

app = typer.Typer(
    cls=Manual,
    help=INTRODUCTION,
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command()
def up(
    host: Annotated[
        str, typer.Option(help="Other than loopback only with API keys.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Of the API.")] = 8000,
    data_dir: DataDir = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Answers: a model that transformers loads here (extra `local`), or the one of "
            "--downstream. Without either, and without BUMP_DOWNSTREAM_URL: bump-mini."
        ),
    ] = None,
    downstream: Annotated[
        str | None,
        typer.Option(help="OpenAI-compatible URL of Ollama, llama-server, vLLM or a paid API."),
    ] = None,
) -> None:
    """Start everything on this machine: Postgres, Valkey, the API and a worker."""
    from service.commands.up import Options
    from service.commands.up import up as run
    from service.embedded import default_data_dir

    options = Options(data_dir or default_data_dir(), host, port, downstream, model)
    run(options, lambda line: err.print(line))


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Where to listen.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes.")] = 1,
) -> None:
    """Run the API."""
    from service.commands.serve import serve as run
    from service.commands.settings import read_settings

    run(read_settings(), host, port, workers)


@app.command()
def worker() -> None:
    """Run a worker that writes profiles. Start as many as you like."""
    from service.commands.settings import read_settings
    from service.commands.work import work

    work(read_settings())


@app.command()
def migrate(data_dir: DataDir = None) -> None:
    """Bring the database schema to this version."""
    from service.commands.migrate import migrate as run
    from service.commands.settings import admin_url, read_settings, resolve_settings

    settings = read_settings()
    if settings.database_admin_url is None:
        settings = resolve_settings(data_dir)
    app_url = settings.database_url.get_secret_value() if settings.database_url else None
    run(admin_url(settings), app_url)
    err.print("The schema is up to date.")


@app.command()
def openapi() -> None:
    """Print the OpenAPI document of the API, for generators of clients."""
    import sys

    from service.commands.openapi import openapi_document

    sys.stdout.write(openapi_document())


@app.command("import")
def import_(
    file: Annotated[str, typer.Argument(help="JSON lines, gzip too; - for standard input.")],
    project: Project = "default",
    from_start: Annotated[bool, typer.Option(help="Do not resume an interrupted import.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Ingest a file of interactions. It resumes, and is safe to repeat."""
    from service.commands.importing import import_file
    from service.commands.settings import resolve_settings
    from service.embedded import default_data_dir

    if file != "-" and not Path(file).is_file():
        fail(f"There is no file {file}.")
    state_dir = (data_dir or default_data_dir()) / "imports"
    settings = resolve_settings(data_dir)
    report = run_async(import_file(settings, file, project, state_dir, from_start=from_start))
    summary = {
        "lines": report.lines,
        "accepted": report.accepted,
        "duplicates": report.duplicates,
        "rejected": report.rejected,
        "users": len(report.users),
    }
    if as_json:
        print_json(summary)
    else:
        out.print(", ".join(f"{value:,} {name}" for name, value in summary.items()))
    for number, reason in report.first_rejections:
        err.print(f"line {number}: {reason}", markup=False)
    if report.accepted:
        err.print(
            "Profiles follow within the debounce; what still waits: "
            f"bump regenerations list --project {project}",
            markup=False,
            soft_wrap=True,
        )
    raise typer.Exit(1 if report.rejected else 0)


app.command()(doctor)
app.command()(top)
app.command()(evaluate)
app.command()(lamp)
app.command()(sensitive)
app.command()(limits)
app.command()(quality)
app.command()(mcp)
app.add_typer(backfill.app, name="backfill")
app.add_typer(generators.app, name="generators")
app.add_typer(keys.app, name="keys")
app.add_typer(regenerations.app, name="regenerations")
app.add_typer(train.app, name="train")


def main() -> None:
    """Run a command; an error of the operator ends it with one plain sentence and status 2."""
    try:
        app()
    except Exception as error:
        message = _plain(error)
        if message is None:
            raise
        fail(message)


def _plain(error: Exception) -> str | None:
    """What to tell the operator; None for a bug of ours, which shows its traceback."""
    from service.embedded.errors import EmbeddedError
    from service.errors import BumpError, ConfigurationError

    if isinstance(error, BumpError):
        return error.detail
    return str(error) if isinstance(error, ConfigurationError | EmbeddedError) else None


if __name__ == "__main__":
    main()
