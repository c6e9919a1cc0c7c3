"""`bump backfill`: rewrite everybody's profile, with progress; it may be killed and goes on."""

import asyncio
import signal
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, nullcontext
from typing import Any, Literal

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from service.commands.printing import out, print_json, show_fields
from service.config import Settings
from service.db.backfills import Pace
from service.db.server import verify_server
from service.db.session import Database, open_database
from service.errors import ConfigurationError
from service.flows import backfill as flow
from service.flows.backfill import Progress, Terms
from service.runtime import SCHEMA_REVISION, open_generator
from service.shutdown import drain_on_signals
from service.telemetry import configure_logging

_DONE, _SOME_FAILED, _STOPPED = 0, 1, 3


async def backfill(
    settings: Settings, project_id: str, *, everyone: bool, pace: Pace, ray_actors: int | None
) -> Progress:
    """Begin a backfill, or go on with the unfinished one, until it is over or stopped.

    Workers do the jobs, and so many actors of Ray as well. SIGINT and SIGTERM pause it. Raises
    BackfillUnderWay where another one is unfinished.
    """
    configure_logging(settings.log_level, "backfill")
    stopped = asyncio.Event()
    drain_on_signals((signal.SIGTERM, signal.SIGINT), stopped.set)
    async with _open(settings) as database:
        begun = await flow.begin(database, project_id, everyone=everyone, pace=pace)
        terms = Terms(settings.min_interactions, open_generator(settings).name)
        steps = flow.run(database, project_id, begun.backfill_id, terms)
        engine: AbstractAsyncContextManager[None] = nullcontext()
        if ray_actors is not None:
            from service.commands.ray_engine import ray_engine

            engine = ray_engine(settings, database, project_id, begun.backfill_id, ray_actors)
        async with engine:
            progress = await _watch(steps, stopped)
        if stopped.is_set():
            return await flow.stop(database, project_id, "paused") or progress
        return progress


async def _watch(steps: AsyncGenerator[Progress], stopped: asyncio.Event) -> Progress:
    """Show every step until the last one, or until `stopped`."""
    with _bar() as bar:
        task = bar.add_task("Rewriting", failed=0)
        async with aclosing(steps):
            async for progress in steps:
                _advance(bar, task, progress)
                if stopped.is_set():
                    break
    return progress


async def status(settings: Settings, project_id: str) -> Progress:
    """The newest backfill. Raises ConfigurationError where there was none."""
    async with _open(settings) as database:
        return _there(await flow.status(database, project_id), project_id)


async def stop(
    settings: Settings, project_id: str, status: Literal["paused", "cancelled"]
) -> Progress:
    """Pause or cancel the unfinished one. Raises ConfigurationError where there is none."""
    async with _open(settings) as database:
        return _there(await flow.stop(database, project_id, status), project_id)


def exit_status(progress: Progress) -> int:
    if progress.backfill.status != "done":
        return _STOPPED
    return _SOME_FAILED if progress.parked else _DONE


def show(progress: Progress, as_json: bool) -> None:
    document = _document(progress)
    if as_json:
        print_json(document)
        return
    out.print(_sentence(progress), soft_wrap=True)
    show_fields(document)


def _document(progress: Progress) -> dict[str, Any]:
    backfill = progress.backfill
    return {
        "backfill_id": str(backfill.backfill_id),
        "status": backfill.status,
        "everyone": backfill.everyone,
        "users": backfill.users,
        "skipped": backfill.skipped,
        "finished": progress.finished,
        "failed": progress.parked,
        "outstanding": progress.outstanding,
        "started_at": backfill.started_at,
        "finished_at": backfill.finished_at,
    }


def _sentence(progress: Progress) -> str:
    command = "bump backfill --everyone" if progress.backfill.everyone else "bump backfill"
    match progress.backfill.status:
        case "running":
            return f"Running. Should it have been killed: `{command}` goes on."
        case "paused":
            return f"Paused: `{command}` goes on."
        case "cancelled":
            return "Cancelled."
        case _ if progress.parked:
            return "Done, but some failed: `bump regenerations list --state parked` says why."
        case _:
            return "Done."


def _advance(bar: ProgressBar, task: Any, progress: Progress) -> None:
    over = progress.backfill.skipped + progress.finished + progress.parked
    # Users may have come since it began.
    total = max(progress.backfill.users, over + progress.outstanding)
    bar.update(task, completed=over, total=total, failed=progress.parked)


def _bar() -> ProgressBar:
    console = Console(stderr=True)
    return ProgressBar(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn(
            "{task.completed:,.0f} of {task.total:,.0f} users, {task.fields[failed]} failed"
        ),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _there(progress: Progress | None, project_id: str) -> Progress:
    if progress is None:
        raise ConfigurationError(
            f"Project {project_id} has no such backfill: `bump backfill` begins one."
        )
    return progress


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[Database]:
    if settings.database_url is None:
        raise ConfigurationError("Set BUMP_DATABASE_URL, or start `bump up` first.")
    database = open_database(settings.database_url.get_secret_value(), pool_size=2)
    try:
        await verify_server(database, SCHEMA_REVISION)
        yield database
    finally:
        await database.close()
