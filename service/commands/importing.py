"""`bump import`: a JSONL file (gzip too) or standard input into a project, with progress."""

import contextlib
import gzip
import os
import sys
import zlib
from contextlib import aclosing
from io import BufferedReader
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from service.config import Settings
from service.db.regenerations import PRIORITY_BACKFILL
from service.errors import InvalidBody
from service.flows.import_history import ImportReport, fingerprint, import_history, open_lines
from service.runtime import open_runtime, regeneration_policy


async def import_file(
    settings: Settings, source: str, project_id: str, state_dir: Path, *, from_start: bool
) -> ImportReport:
    """Ingest `source` (a path, or `-`). An import that was interrupted goes on where it was.

    Raises InvalidBody for gzip that is cut short or damaged, and what `open_runtime` raises.
    """
    runtime = await open_runtime(settings)
    checkpoint = _checkpoint(source, project_id, state_dir)
    skip = 0 if from_start or checkpoint is None else _read(checkpoint)
    report = ImportReport(lines=skip)
    try:
        with _open(source) as file, _progress() as progress:
            total = None if source == "-" else os.fstat(file.fileno()).st_size
            task = progress.add_task("Importing", total=total, interactions=0)
            reports = import_history(
                runtime.database,
                runtime.cache,
                project_id,
                open_lines(file),
                regeneration_policy(settings, PRIORITY_BACKFILL),
                skip=skip,
            )
            async with aclosing(reports):
                async for report in reports:
                    if checkpoint is not None:
                        checkpoint.write_text(str(report.lines))
                    position = None if source == "-" else file.tell()
                    progress.update(task, completed=position, interactions=report.lines)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InvalidBody(
            f"{source} is damaged after line {report.lines}; what stands before is imported."
        ) from error
    finally:
        await runtime.close()
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return report


def _checkpoint(source: str, project_id: str, state_dir: Path) -> Path | None:
    if source == "-":
        return None
    try:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return None  # a read-only place: the import starts over, and finds duplicates
    return state_dir / f"import-{fingerprint(Path(source), project_id)}"


def _read(checkpoint: Path) -> int:
    with contextlib.suppress(FileNotFoundError, ValueError):
        return int(checkpoint.read_text())
    return 0


def _open(source: str) -> BufferedReader:
    # A second file object for standard input, so that closing it leaves the stream open.
    return open(sys.stdin.fileno(), "rb", closefd=False) if source == "-" else open(source, "rb")


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[interactions]:,} interactions"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
