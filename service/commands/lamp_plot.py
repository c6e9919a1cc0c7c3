"""A run of LaMP as a picture: every method with its interval, and whether BUMP predicts them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from service.commands.lamp_table import by_metric
from service.errors import ConfigurationError

_LOCAL, _MODEL, _PROFILE = "#8a8f98", "#31688e", "#2a7f62"
_KINDS = {"without a model": _LOCAL, "model": _MODEL, "model with a profile": _PROFILE}

Document = Mapping[str, Any]


def plot(document: Document, path: Path) -> None:
    """PNG or SVG by name; a second panel where BUMP's number and the metric can be compared.

    Raises ConfigurationError without matplotlib, and for a file that it cannot write.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise ConfigurationError("A plot needs matplotlib: pip install matplotlib.") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    # So that the same numbers give the same file.
    pyplot.rcParams.update({"svg.hashsalt": "bump", "svg.fonttype": "none", "font.size": 9})
    correlations = document["correlations"]
    columns = 1 + len(correlations)
    size = (5.2 + 4.2 * len(correlations), max(2.6, 0.28 * len(document["rows"]) + 1.2))
    figure, axes = pyplot.subplots(1, columns, figsize=size, layout="constrained", squeeze=False)
    _draw_methods(axes[0][0], document)
    for panel, correlation in zip(axes[0][1:], correlations, strict=True):
        _draw_correlation(panel, document, correlation)
    try:
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"The plot cannot be written to {path}: {error}.") from error
    finally:
        pyplot.close(figure)


def _draw_methods(axes: Any, document: Document) -> None:
    """The best on top; a dotted line through the best floor."""
    metric, best = document["metric"], document["best_floor"]
    rows = by_metric(document)[::-1]
    for place, row in enumerate(rows):
        interval = row["metrics"][metric]
        colour = _KINDS[_kind(row, document)]
        axes.plot([interval["low"], interval["high"]], [place, place], color=colour)
        axes.plot(interval["mean"], place, "o", color=colour, markersize=4)
        if row["method"] == best:
            axes.axvline(interval["mean"], color="black", linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(rows)), [row["method"] for row in rows])
    axes.set_xlabel(f"{_axis(document)}, 95 % interval")
    axes.set_title(f"{document['task']}, {document['samples']} samples", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    if document["less_is_better"]:
        axes.invert_xaxis()
    for name in {_kind(row, document): None for row in rows}:
        axes.plot([], [], "o", color=_KINDS[name], markersize=4, label=name)
    axes.legend(frameon=False, fontsize=8)


def _draw_correlation(axes: Any, document: Document, correlation: Document) -> None:
    """A cross for each method: BUMP's total with its interval, the metric with its own."""
    metric, judge = document["metric"], correlation["judge"]
    rewards = {row["source"]: row["total"] for row in document["profiles"] if row["judge"] == judge}
    for row in document["rows"]:
        if row["method"] not in correlation["methods"]:
            continue
        reward, score = rewards[row["profile"] or "none"], row["metrics"][metric]
        colour = _KINDS[_kind(row, document)]
        axes.plot([reward["low"], reward["high"]], [score["mean"]] * 2, color=colour, alpha=0.5)
        axes.plot([reward["mean"]] * 2, [score["low"], score["high"]], color=colour, alpha=0.5)
        axes.plot(reward["mean"], score["mean"], "o", color=colour, markersize=4)
        axes.annotate(
            row["method"],
            (reward["mean"], score["mean"]),
            xytext=(4, 4),
            textcoords="offset points",
            fontsize=8,
        )
    axes.axvline(document["chance"]["total"], color="black", linewidth=0.8, linestyle=":")
    axes.set_xlabel(f"BUMP's total without a label, {judge} (dotted: chance)")
    axes.set_ylabel(_axis(document))
    pearson = correlation["pearson"]
    axes.set_title(
        f"r = {pearson['mean']:+.2f} [{pearson['low']:+.2f}, {pearson['high']:+.2f}] "
        f"over {len(correlation['methods'])} methods",
        loc="left",
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(0.15)
    if document["less_is_better"]:
        axes.invert_yaxis()


def _kind(row: Document, document: Document) -> str:
    if row["method"] in document["without_model"]:
        return "without a model"
    return "model with a profile" if row["profile"] else "model"


def _axis(document: Document) -> str:
    return f"{document['metric']}{' (less is better)' if document['less_is_better'] else ''}"
