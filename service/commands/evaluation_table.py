"""What `bump evaluate` says to people: a table, best first, and a plot."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from service.errors import ConfigurationError
from service.evaluation.report import Row, best_baseline

_COLUMNS = ("generator", "total", "fwd", "bwd", "AUC", "copy", "tok", "over best")
_COLOURS = ("#2a7f62", "#31688e", "#c2452d", "#8a8f98")


def tables(document: Mapping[str, Any]) -> list[Table]:
    """The primary setting, and the ungapped one where it was asked for; judge by judge."""
    parts = [document, *filter(None, [document.get("ungapped")])]
    return [table for part in parts for table in _tables(part)]


def notes(document: Mapping[str, Any]) -> list[str]:
    """What stands beside the table: who was left out, and who had no profile."""
    skipped = [
        f"{part['histories']}: {count} users left out ({reason})"
        for part in document["sets"]
        for reason, count in part["skipped"].items()
    ]
    missing = {
        row["generator"]: row["without_profile"]
        for row in document["rows"]
        if row["without_profile"]
    }
    return skipped + [
        f"{name}: no profile of {count} users; an empty one was scored"
        for name, count in missing.items()
    ]


def plot(document: Mapping[str, Any], path: Path) -> None:
    """Totals with their intervals, a colour for each judge, chance as a line; PNG or SVG by name.

    Raises ConfigurationError without matplotlib, and for a file that it cannot write.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise ConfigurationError("A plot needs matplotlib: pip install matplotlib.") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.lines import Line2D

    # So that the same numbers give the same file.
    pyplot.rcParams.update({"svg.hashsalt": "bump", "svg.fonttype": "none", "font.size": 9})
    judges = list(dict.fromkeys(row["judge"] for row in document["rows"]))
    names = list(dict.fromkeys(row["generator"] for row in by_total(document["rows"])))[::-1]
    figure, axes = pyplot.subplots(figsize=(8, 0.4 * len(names) + 1.4), layout="constrained")
    for row in document["rows"]:
        judge = judges.index(row["judge"])
        place = names.index(row["generator"]) + 0.15 * ((len(judges) - 1) / 2 - judge)
        low, mean, high = (row["total"][name] for name in ("low", "mean", "high"))
        colour = _COLOURS[judge % len(_COLOURS)]
        axes.plot([low, high], [place, place], color=colour, linewidth=1.5)
        axes.plot(mean, place, "o", color=colour, markersize=4)
    axes.axvline(document["chance"]["total"], color="black", linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("total reward with its 95 % interval; the dotted line is chance")
    axes.spines[["top", "right"]].set_visible(False)
    handles = [
        Line2D([], [], marker="o", color=_COLOURS[place % len(_COLOURS)], label=judge)
        for place, judge in enumerate(judges)
    ]
    figure.legend(handles=handles, frameon=False, loc="outside upper center", ncols=len(handles))
    try:
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"The plot cannot be written to {path}: {error}.") from error
    finally:
        pyplot.close(figure)


def by_total(rows: Sequence[Row]) -> list[Row]:
    """Judge by judge, the best total first."""
    judges = list(dict.fromkeys(row["judge"] for row in rows))
    return sorted(rows, key=lambda row: (judges.index(row["judge"]), -row["total"]["mean"]))


def _tables(part: Mapping[str, Any]) -> list[Table]:
    """One for each judge."""
    ordered = by_total(part["rows"])
    return [_table(part, judge, list(rows)) for judge, rows in groupby(ordered, _judge)]


def _table(part: Mapping[str, Any], judge: str, rows: Sequence[Row]) -> Table:
    setting, chance = part["setting"], part["chance"]
    negatives = "time-matched" if setting["time_matched"] else "random"
    title = (
        f"{judge}, {rows[0]['users']} users, P = {setting['held_out']}, "
        f"K = {setting['negatives']} {negatives}, gap {setting['gap']}"
        f"{', BUMP+' if setting['hard'] else ''}; chance {chance['total']:.3f}"
    )
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in _COLUMNS:
        table.add_column(name, justify="right" if name != "generator" else "left", no_wrap=True)
    best = best_baseline(rows, judge)
    for row in rows:
        table.add_row(*_cells(row, best))
    return table


def _cells(row: Row, best: str | None) -> list[str]:
    over = row.get("against", {}).get(best)
    return [
        row["generator"],
        _spread(row["total"]),
        *(f"{row[name]['mean']:.3f}" for name in ("forward", "backward")),
        f"{row['auc']:.2f}",
        f"{row['copy_rate']:.0%}",
        f"{row['tokens']:.0f}",
        _spread(over, "+.3f") if over else "",
    ]


def _spread(interval: Mapping[str, float], form: str = ".3f") -> str:
    """The mean and half of its interval's width."""
    half = (interval["high"] - interval["low"]) / 2
    return f"{format(interval['mean'], form)} ±{half:.3f}"


def _judge(row: Row) -> str:
    return str(row["judge"])
