"""Writes `docs/lamp.md` and its plots from what `lamp.py` has measured.

What the page says besides figures is in `lamp_text.md`, which stands there as it is.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from service.commands.lamp_plot import plot
from service.commands.lamp_table import by_metric, spread

TEXT = Path(__file__).with_name("lamp_text.md")
_FIGURES = "<!-- figures -->"

Row = Mapping[str, Any]


def write(measured: Mapping[str, Row], docs: Path) -> Path:
    """Write the page into `docs`, beside its plots; returns its path."""
    for name, document in measured.items():
        plot(document, docs / _plot_of(name))
    figures = "\n\n".join(_task(name, document) for name, document in measured.items())
    page = docs / "lamp.md"
    page.write_text(TEXT.read_text().replace(_FIGURES, figures))
    return page


def _task(name: str, document: Row) -> str:
    model = document["model"]["name"] if document["model"] else "no model"
    parts = [
        f"### {name}",
        f"{document['samples']} samples, {model}; seed {document['seed']}, code "
        f"{document['versions']['code']}; {document['problems']} entries or samples left out. "
        "Intervals hold 95 % of 10,000 resamplings of the samples.",
        f"![{name}]({_plot_of(name)})",
        _methods(document),
        _failures(document),
        _within(document),
        _profiles(document),
        _correlations(document),
    ]
    return "\n\n".join(filter(None, parts))


def _methods(document: Row) -> str:
    metrics = list(document["rows"][0]["metrics"])
    references = [one for one in (document["best_floor"], "none") if one]
    used = [one for one in references if any(row["against"].get(one) for row in document["rows"])]
    tokens = ["prompt tokens"] * (document["model"] is not None)
    columns = ("method", *metrics, *(f"less {one}" for one in used), *tokens)
    rows = [
        (
            row["method"],
            *(spread(row["metrics"][metric]) for metric in metrics),
            *(spread(row["against"][one], "+.3f") if one in row["against"] else "" for one in used),
            *(f"{row['prompt_tokens']:.0f}" if row["prompt_tokens"] else "" for _ in tokens),
        )
        for row in by_metric(document)
    ]
    return _table(columns, rows)


def _failures(document: Row) -> str:
    """Nothing where there were none."""
    rows = [row for row in document["rows"] if row["failed"] or row["without_profile"]]
    if not rows:
        return ""
    return "Answers that failed count as empty, users without a profile are asked without:\n\n" + (
        _table(
            ("method", "failed", "without a profile"),
            [(row["method"], row["failed"], row["without_profile"]) for row in rows],
        )
    )


def _within(document: Row) -> str:
    """Of LaMP_3: the same predictor on many more ratings than there are golds."""
    within = document.get("within_histories")
    if not within:
        return ""
    ours, median, apart = (
        spread(within[name], form)
        for name, form in (
            ("history-ratings", ".3f"),
            ("user-median", ".3f"),
            ("difference", "+.3f"),
        )
    )
    return (
        "Within the histories, on each user's latest twelve ratings of new items, predicted from "
        f"what came before them by what other users have taught: history-ratings {ours}, the "
        f"median so far {median}, difference {apart} (over users)."
    )


def _profiles(document: Row) -> str:
    if not document["profiles"]:
        return ""
    rows = [
        (
            row["source"],
            row["judge"],
            spread(row["total"]),
            *(f"{row[name]['mean']:.3f}" for name in ("forward", "backward")),
            f"{row['auc']:.2f}",
            f"{row['copy_rate']:.0%}",
            f"{row['tokens']:.0f}",
        )
        for row in document["profiles"]
    ]
    columns = ("profiles", "judge", "BUMP total", "forward", "backward", "AUC", "copied", "tokens")
    return (
        f"The profiles, without a label (chance {document['chance']['total']:.3f}):\n\n"
        f"{_table(columns, rows)}"
    )


def _correlations(document: Row) -> str:
    rows = [
        (
            row["judge"],
            len(row["methods"]),
            row["users"],
            spread(row["pearson"], "+.2f"),
            spread(row["spearman"], "+.2f"),
            f"{row['within_users']:+.3f}",
        )
        for row in document["correlations"]
    ]
    if not rows:
        return ""
    columns = ("judge", "methods", "users", "Pearson", "Spearman", "within users")
    return (
        f"BUMP's total against {document['metric']}, turned so that more is better:\n\n"
        f"{_table(columns, rows)}"
    )


def _plot_of(name: str) -> str:
    return f"{name.lower().replace('_', '-')}.svg"


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
