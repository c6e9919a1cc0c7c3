"""`bump doctor`."""

import typer

from service.cli.options import AsJson, DataDir, run_async


def doctor(
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Check the configuration, database, Redis, models and clock, and say what to do next.

    Ends with status 1 where something does not work, with 0 where all does or may be better.
    """
    from service.commands.doctor_report import report

    healthy = run_async(report(data_dir, as_json=as_json))
    raise typer.Exit(0 if healthy else 1)
