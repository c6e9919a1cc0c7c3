"""Runs every benchmark and writes `benchmarks/results.json`: `make bench`.

python benchmarks/run.py --only ingest
python benchmarks/run.py --only history_fetch --rows 10000000
"""

import argparse
import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import (
    backfill,
    cache_outage,
    cached_reads,
    downstream,
    generation,
    history_fetch,
    hot_user,
    ingest,
    local_model,
    personalize_prompt,
    real_vllm,
    regeneration,
    two_processes,
)
from benchmarks.measurement import Measurement
from benchmarks.stack import Stack, open_stack

RESULTS = Path(__file__).with_name("results.json")
_TABLE_WIDTH = 120

Benchmark = Callable[[Stack], Coroutine[Any, Any, list[Measurement]]]


def benchmarks(rows: int) -> dict[str, Benchmark]:
    """By name, in the order in which they run; `rows` is the size of `history_fetch`'s table."""
    return {
        "cached_reads": cached_reads.measure,
        "cache_outage": cache_outage.measure,
        "ingest": ingest.measure,
        "personalize_prompt": personalize_prompt.measure,
        "downstream": downstream.measure,
        "regeneration": regeneration.measure,
        "generation": generation.measure,
        "backfill": backfill.measure,
        "real_vllm": real_vllm.measure,
        "local_model": local_model.measure,
        "hot_user": hot_user.measure,
        "history_fetch": partial(history_fetch.measure, rows=rows),
        "two_processes": two_processes.measure,
    }


def main() -> None:
    arguments = _arguments()
    found: list[Measurement] = []
    progress = Console(stderr=True)
    chosen = benchmarks(arguments.rows)
    for name in arguments.only or chosen:
        found += _run(name, chosen[name], progress)
    results = {measurement.name: measurement.to_json() for measurement in found}
    if not arguments.only or arguments.update:
        kept = json.loads(RESULTS.read_text()) if arguments.only else {}
        results = kept | results
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")
        progress.print(f"Written: {RESULTS}", highlight=False)
    if arguments.json:
        print(json.dumps(results))
    else:
        # A file or a pipe has no width of its own, and names must stay whole.
        Console(width=max(Console().width, _TABLE_WIDTH)).print(_table(found))


def _run(name: str, benchmark: Benchmark, progress: Console) -> list[Measurement]:
    """A stack of its own for each: no benchmark meets what another one left behind."""
    started = time.monotonic()
    with progress.status(f"{name} …"), open_stack() as stack:
        found = asyncio.run(benchmark(stack))
    progress.print(f"{name}: done in {time.monotonic() - started:.0f} s", highlight=False)
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure Bump on this machine.")
    parser.add_argument(
        "--only",
        action="append",
        choices=list(benchmarks(history_fetch.DEFAULT_ROWS)),
        help="run this one and write no file; repeat for more",
    )
    parser.add_argument(
        "--update", action="store_true", help="with --only: write its figures beside the others'"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--rows",
        type=int,
        default=history_fetch.DEFAULT_ROWS,
        help="size of the table for history_fetch (default: %(default)s)",
    )
    return parser.parse_args()


def _table(found: Iterable[Measurement]) -> Table:
    table = Table()
    for heading in ("benchmark", "value", "limit", "ratio", "target", "met"):
        table.add_column(heading, no_wrap=True)
    table.add_column("peers")
    for one in found:
        table.add_row(
            one.name,
            f"{one.value:,.5g} {one.unit}",
            f"{one.limit:,.5g}",
            f"{one.ratio:.2f}",
            str(one.target or ""),
            {True: "[green]yes[/]", False: "[red]no[/]", None: ""}[one.met],
            one.peer or "",
        )
    return table


if __name__ == "__main__":
    main()
