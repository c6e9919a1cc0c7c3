"""`bump lamp`."""

from pathlib import Path
from typing import Annotated

import typer

from service.cli.options import AsJson, run_async
from service.commands.printing import err, out, print_json


def lamp(
    folder: Annotated[Path, typer.Argument(help="LaMP's files: its root, a task's, or a split's.")],
    output: Annotated[
        Path, typer.Option(help="Results, predictions, and what a run that stopped goes on from.")
    ],
    task: Annotated[
        str | None, typer.Option(help="LaMP_1 to LaMP_7; else what outputs.json says.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="train, dev, test; else questions.json and outputs.json.")
    ] = None,
    time: Annotated[bool, typer.Option("--time", help="The time-based separation.")] = False,
    methods: Annotated[
        str,
        typer.Option(help="Comma list: local, model, all, or names (docs/lamp.md lists them)."),
    ] = "local",
    profiles: Annotated[
        str, typer.Option(help="Comma list of more profiles to write and score by BUMP.")
    ] = "",
    judges: Annotated[
        str, typer.Option(help="Comma list: lexical, embedding, listwise, likelihood.")
    ] = "lexical",
    url: Annotated[
        str | None, typer.Option(help="OpenAI-compatible; else BUMP_DOWNSTREAM_URL.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Else BUMP_DOWNSTREAM_MODEL.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many samples.")] = None,
    seed: Annotated[int, typer.Option(help="Draws samples, strangers and resamplings.")] = 0,
    concurrency: Annotated[int, typer.Option(min=1, help="Calls under way.")] = 16,
    entry_tokens: Annotated[
        int, typer.Option(min=64, help="Of a prompt: the question with entries of the history.")
    ] = 4_096,
    plot: Annotated[Path | None, typer.Option(help="Write a plot: .png or .svg.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and show prompts; call nothing.")
    ] = False,
    write_histories: Annotated[
        Path | None, typer.Option(help="Only write the histories, as `bump train` reads them (gz).")
    ] = None,
    write_demonstrations: Annotated[
        Path | None,
        typer.Option(help="Only write a method's prompts with golds, for `bump train downstream`."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run LaMP: how much a profile, or the history, helps a model to suit its user."""
    from service.commands import lamp_demonstrations as demonstrations
    from service.commands import lamp_histories as histories
    from service.commands import lamp_plot, lamp_table
    from service.commands.lamp import lamp as run
    from service.commands.lamp import read
    from service.commands.lamp_plan import Request, preview
    from service.commands.settings import read_settings
    from service.evaluation.lamp.reading import Separation, Split
    from service.telemetry import configure_logging

    # What a generator warns of is counted in the rows.
    configure_logging("error", "lamp")
    if split is not None and split not in list(Split):
        raise typer.BadParameter(f"take one of {', '.join(Split)}", param_hint="--split")
    request = Request(
        folder,
        output,
        task,
        Split(split) if split else None,
        Separation.TIME if time else Separation.USER,
        methods,
        profiles,
        judges,
        limit,
        seed,
        concurrency,
        entry_tokens,
    )
    named = {"downstream_url": url, "downstream_model": model}
    settings = read_settings().model_copy(update={k: v for k, v in named.items() if v})
    if write_histories is not None:
        written = histories.write_histories(request, write_histories)
        err.print(f"Wrote {written.interactions:,} interactions of {written.users:,} users.")
        return
    taught = demonstrations.read_taught(request) if write_demonstrations else None
    if dry_run:
        print_json(preview(settings, request, taught or read(request)))
        return
    if write_demonstrations is not None and taught is not None:
        count = run_async(
            demonstrations.write_demonstrations(settings, request, taught, write_demonstrations)
        )
        err.print(f"Wrote {count:,} demonstrations.")
        return
    document = run_async(run(settings, request))
    if as_json:
        print_json(document)
    else:
        for table in lamp_table.tables(document):
            out.print(table)
    for note in lamp_table.notes(document):
        err.print(note, markup=False, soft_wrap=True)
    if plot is not None:
        lamp_plot.plot(document, plot)
