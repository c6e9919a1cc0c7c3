"""`bump train`."""

from pathlib import Path
from typing import Annotated

import typer

from service.cli.options import DataDir, Project, fail
from service.commands.printing import out, print_json

app = typer.Typer(
    help="Train a generator by the BUMP reward, or a downstream model on profiles.",
    no_args_is_help=True,
)


@app.command("llm")
def train_llm(
    config: Annotated[Path, typer.Option(help="TOML; examples/train_llm.toml lists all of it.")],
    output: Annotated[Path, typer.Option(help="Checkpoints, curves, and in the end adapter/.")],
    histories: Annotated[
        Path | None, typer.Option(help="JSON lines, gzip too, instead of the live project.")
    ] = None,
    project: Project = "default",
    data_dir: DataDir = None,
) -> None:
    """Train a LoRA for the LLM generator. Killed, it goes on where its last checkpoint was."""
    from service.commands.settings import read_settings, resolve_settings
    from service.commands.train_llm import train_llm as run

    settings = read_settings() if histories else resolve_settings(data_dir)
    adapter = run(settings, config, histories, project, output)
    if adapter:
        out.print(str(adapter), soft_wrap=True)


@app.command("extractive")
def train_extractive(
    output: Annotated[Path, typer.Option(help="Checkpoints, curves, and in the end policy/.")],
    histories: Annotated[
        list[Path] | None,
        typer.Option(help="JSON lines, gzip too, instead of the live project; repeat for more."),
    ] = None,
    judge: Annotated[
        str, typer.Option(help="Trains; report another: lexical, embedding, listwise, likelihood.")
    ] = "lexical",
    steps: Annotated[int, typer.Option(min=1, max=100_000, help="Of the training.")] = 40,
    seed: Annotated[int, typer.Option(help="Of all that is drawn at random.")] = 7,
    held_out: Annotated[int, typer.Option(min=1, help="P, interactions to pick out.")] = 4,
    negatives: Annotated[int, typer.Option(min=1, help="K, others beside them.")] = 8,
    gap: Annotated[int, typer.Option(min=0, help="Interactions that nobody sees.")] = 4,
    project: Project = "default",
    data_dir: DataDir = None,
) -> None:
    """Train the extractive generator, in minutes. Killed, it goes on from its last checkpoint."""
    from service.bump.setting import Setting
    from service.commands.settings import read_settings, resolve_settings
    from service.commands.train_extractive import Request
    from service.commands.train_extractive import train_extractive as run
    from service.trainer.extractive import Training

    files = histories or []
    for file in files:
        if not file.is_file():
            fail(f"There is no file {file}.")
    settings = read_settings() if files else resolve_settings(data_dir)
    request = Request(
        files=files,
        project=project,
        judge=judge,
        seed=seed,
        setting=Setting(held_out=held_out, negatives=negatives, gap=gap),
        training=Training(steps=steps, max_tokens=settings.profile_tokens),
    )
    out.print(str(run(settings, request, output)), soft_wrap=True)


@app.command("downstream")
def train_downstream(
    config: Annotated[
        Path, typer.Option(help="TOML; examples/train_downstream.toml lists all of it.")
    ],
    demonstrations: Annotated[
        Path, typer.Option(help="What `bump lamp --write-demonstrations` wrote.")
    ],
    output: Annotated[Path, typer.Option(help="Checkpoints, curves, and in the end adapter/.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and count; load no model.")
    ] = False,
) -> None:
    """Train a LoRA for the downstream model. Killed, it goes on from its last checkpoint."""
    from service.commands.train_downstream import preview
    from service.commands.train_downstream import train_downstream as run

    if dry_run:
        print_json(preview(config, demonstrations))
        return
    adapter = run(config, demonstrations, output)
    if adapter:
        out.print(str(adapter), soft_wrap=True)
