"""`bump top`."""

from contextlib import suppress
from typing import Annotated

import typer

from service.cli.options import AsJson, DataDir, run_async


def top(
    urls: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[URL]...",
            help="/metrics of APIs and of workers. Without any: those of `bump up`.",
        ),
    ] = None,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between readings.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Show one interval and end.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Watch ingest, reads, queue and freshness live. Ctrl-C ends it.

    With --json, a line of JSON an interval.
    """
    from service.commands.metrics_reading import known_addresses
    from service.commands.top import top as run
    from service.embedded import default_data_dir

    addresses = urls or known_addresses(data_dir or default_data_dir())
    addresses = addresses or ["http://127.0.0.1:8000/metrics"]
    with suppress(KeyboardInterrupt):
        run_async(run(addresses, interval, once=once, as_json=as_json))
