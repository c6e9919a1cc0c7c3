"""What `bump lamp` says to people: a table of the rows, one of the profiles, notes."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table

Row = Mapping[str, Any]


def tables(document: Row) -> list[Table]:
    """Methods, the best first, and where profiles were written what BUMP says of them."""
    found = [_methods(document)]
    return [*found, _profiles(document)] if document["profiles"] else found


def notes(document: Row) -> list[str]:
    """What stands beside the tables: what was left out, what failed, what correlates."""
    said = [f"left out: {problem}" for problem in document["first_problems"]]
    if document["problems"] > len(said):
        said.append(f"left out: {document['problems'] - len(said)} more")
    if document["unanswerable"]:
        said.append(
            f"{document['unanswerable']} samples cannot be asked; they count with an empty answer"
        )
    for row in document["rows"]:
        for reason, count in row["failures"].items():
            said.append(f"{row['method']}: {count} answers failed and count as empty ({reason})")
        if row["without_profile"]:
            said.append(f"{row['method']}: {row['without_profile']} users had no profile to show")
        if row["cut"]:
            said.append(f"{row['method']}: {row['cut']} answers ended at the token limit")
    return said + [
        f"{row['judge']}: over {len(row['methods'])} methods, BUMP's total and {row['metric']} "
        f"correlate by {spread(row['pearson'], '+.2f')} (ranks {spread(row['spearman'], '+.2f')}; "
        f"within users {row['within_users']:+.3f})"
        for row in document["correlations"]
    ]


def by_metric(document: Row) -> list[Row]:
    """The rows, the best first."""
    sign = 1 if document["less_is_better"] else -1
    return sorted(
        document["rows"], key=lambda row: sign * row["metrics"][document["metric"]]["mean"]
    )


def spread(interval: Row, form: str = ".3f") -> str:
    """As 0.512 [0.498, 0.527]."""
    mean, low, high = (format(interval[name], form) for name in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


def _methods(document: Row) -> Table:
    model = document["model"]
    title = f"{document['task']}, {document['samples']} samples" + (
        f", {model['name']}" if model else ""
    )
    metrics = list(document["rows"][0]["metrics"])
    references = [name for name in (document["best_floor"], "none") if name]
    columns = ["method", *metrics, *(f"less {name}" for name in references), "tok"]
    table = _table(title, columns)
    for row in by_metric(document):
        against = [row["against"].get(name) for name in references]
        table.add_row(
            row["method"],
            *(_about(row["metrics"][name]) for name in metrics),
            *(_about(one, "+.3f") if one else "" for one in against),
            f"{row['prompt_tokens']:.0f}" if row["prompt_tokens"] else "",
        )
    return table


def _profiles(document: Row) -> Table:
    title = f"BUMP of the profiles, without a label; chance {document['chance']['total']:.3f}"
    columns = ["profiles", "judge", "total", "fwd", "bwd", "AUC", "copy", "tok"]
    table = _table(title, columns)
    for row in document["profiles"]:
        table.add_row(
            row["source"],
            row["judge"],
            _about(row["total"]),
            *(f"{row[name]['mean']:.3f}" for name in ("forward", "backward")),
            f"{row['auc']:.2f}",
            f"{row['copy_rate']:.0%}",
            f"{row['tokens']:.0f}",
        )
    return table


def _about(interval: Row, form: str = ".3f") -> str:
    """The mean and half of its interval's width."""
    half = (interval["high"] - interval["low"]) / 2
    return f"{format(interval['mean'], form)} ±{half:.3f}"


def _table(title: str, columns: list[str]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place else "left", no_wrap=True)
    return table
