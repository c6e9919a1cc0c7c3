"""Draws `results.json` as `docs/benchmarks.svg`: `python benchmarks/plot.py`.

One bar a figure, as a share of the limit of the same run. A black line is the target: a figure
marked ≥ should reach it, one marked ≤ should stay below.
"""

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

RESULTS = Path(__file__).with_name("results.json")
PLOT = Path(__file__).parents[1] / "docs" / "benchmarks.svg"
_WIDEST = 1.5
_COLOURS = {True: "#2a7f62", False: "#c2452d", None: "#8a8f98"}
_LEGEND = {True: "target met", False: "target missed", None: "no target"}


def main() -> None:
    results: dict[str, dict[str, Any]] = json.loads(RESULTS.read_text())
    # So that the same results give the same file.
    pyplot.rcParams.update({"svg.hashsalt": "bump", "svg.fonttype": "none", "font.size": 9})
    figure, axes = pyplot.subplots(figsize=(9, 0.32 * len(results) + 1.1), layout="constrained")
    names = list(results)[::-1]
    for position, name in enumerate(names):
        _draw(axes, position, results[name])
    axes.set_yticks(range(len(names)), [_label(name, results[name]) for name in names])
    axes.set_xlim(0, _WIDEST + 0.45)
    axes.set_xlabel("share of the limit of the same run")
    axes.spines[["top", "right"]].set_visible(False)
    handles = [
        pyplot.Rectangle((0, 0), 1, 1, color=_COLOURS[met], label=label)
        for met, label in _LEGEND.items()
    ]
    figure.legend(handles=handles, frameon=False, loc="outside upper center", ncols=len(handles))
    figure.savefig(PLOT, metadata={"Date": None})


def _draw(axes: Any, position: int, result: dict[str, Any]) -> None:
    axes.barh(position, min(result["ratio"], _WIDEST), color=_COLOURS[result["met"]], height=0.6)
    bound = _bound(result)
    if bound is not None:
        axes.plot([bound, bound], [position - 0.42, position + 0.42], color="black", linewidth=1.5)
    value = f"{result['value']:,.0f}" if result["value"] >= 1_000 else f"{result['value']:.3g}"
    axes.text(_WIDEST + 0.03, position, f"{value} {result['unit']}", va="center")


def _label(name: str, result: dict[str, Any]) -> str:
    if result["target"] is None:
        return name
    return f"{name} {'≥' if '>=' in result['target'] else '≤'}"


def _bound(result: dict[str, Any]) -> float | None:
    """Where the target lies on the axis, None where there is none or it lies outside."""
    if result["target"] is None:
        return None
    of, _, bound = result["target"].split()
    share = float(bound) if of == "ratio" else float(bound) / result["limit"]
    return share if share <= _WIDEST else None


if __name__ == "__main__":
    main()
