"""Writes `docs/results.md`, its plots and the README's table from what has been measured.

`quality.py` measures generators; trainings measure themselves.

A training leaves one JSON file in `benchmarks/training`: `title`, `text` (Markdown), and where it
has them `table` ({"columns": […], "rows": [[…]]}) and `curves` ({label: [[step, reward], …]}).
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from service.commands.evaluation_table import by_total, plot
from service.evaluation.baselines import BASELINES

_START = "extractive"

_OTHER_SETTINGS = """## Other settings

Total rewards less chance, all sets. Without a gap and among random others cheap profiles look
better than they are: the newest events are like those that follow them, and random others are of
other years. BUMP+ asks for the least expected interactions and among the most similar users."""

Row = Mapping[str, Any]


def write(measured: Mapping[str, Any], training: Sequence[Mapping[str, Any]], docs: Path) -> Path:
    """Write the page into `docs`, beside its plots; returns its path."""
    primary = measured["settings"]["primary"]
    plot(primary, docs / "results.svg")
    parts = [
        _introduction(measured),
        "## All five sets\n\n![Total reward by generator](results.svg)",
        *(_pooled(primary, judge) for judge in _judges(primary)),
        _differences(primary),
        "## Set by set\n\nTotal rewards.",
        *(_by_set(primary, judge) for judge in _judges(primary)),
        _auc(primary),
        *_others(measured),
        _checks(primary),
        *(_training(number, part, docs) for number, part in enumerate(training, 1)),
    ]
    page = docs / "results.md"
    page.write_text("\n\n".join(parts) + "\n")
    return page


def summary(measured: Mapping[str, Any]) -> str:
    """The table of the README: total reward and its distance from chance, by every judge."""
    primary = measured["settings"]["primary"]
    judges = _judges(primary)
    rows = [
        (
            name := row["generator"],
            *(_spread(_row(primary, judge, name)["total"]) for judge in judges),
            *(f"{_over_chance(primary, judge, name):+.3f}" for judge in judges),
        )
        for row in by_total(_of(primary, judges[0]))
    ]
    above = (f"above chance, {judge}" for judge in judges)
    return _table(("profile by", *(f"total, {judge}" for judge in judges), *above), rows)


def _others(measured: Mapping[str, Any]) -> list[str]:
    """Nothing where only the primary setting was measured."""
    if len(measured["settings"]) == 1:
        return []
    judges = _judges(measured["settings"]["primary"])
    return [_OTHER_SETTINGS, *(_other_settings(measured, judge) for judge in judges)]


def _introduction(measured: Mapping[str, Any]) -> str:
    primary, versions = measured["settings"]["primary"], measured["versions"]
    setting, chance = primary["setting"], primary["chance"]
    users = ", ".join(f"{part['histories']} {part['users']}" for part in primary["sets"])
    paragraphs = (
        "How good profiles are on five sets of real histories, measured without a label; how to "
        "read the numbers is in [evaluation.md](evaluation.md). `make results` writes this page. "
        f"The histories are not part of the project. Version {versions['bump']}, code "
        f"{versions['code']}, seed {measured['seed']}.",
        f"A profile is to pick out the user's {setting['held_out']} newest interactions among "
        f"{setting['negatives']} of other users (forward), and each of these the profile among "
        f"{setting['negatives']} of other users (backward). The {setting['gap']} interactions "
        "before them are seen by nobody, and the others are those nearest in time. A profile that "
        f"says nothing earns {chance['forward']:.3f} + {chance['backward']:.3f} = "
        f"{chance['total']:.3f}; a perfect one 2. Behind ± stands half of the 95 % bootstrap "
        "interval over users.",
        f"Users who were evaluated, none of whom anything was trained on: {users}.",
        "When a profile need not be rewritten is measured in [drift.md](drift.md).",
    )
    return "\n\n".join(("# Results", *(fill(paragraph, 100) for paragraph in paragraphs)))


def _pooled(part: Mapping[str, Any], judge: str) -> str:
    columns = ("generator", "total", "forward", "backward", "AUC", "copied", "tokens")
    rows = [
        (
            row["generator"],
            _spread(row["total"]),
            *(f"{row[name]['mean']:.3f}" for name in ("forward", "backward")),
            f"{row['auc']:.3f}",
            f"{row['copy_rate']:.0%}",
            f"{row['tokens']:.0f}",
        )
        for row in by_total(_of(part, judge))
    ]
    return f"Judge: {judge}, {_of(part, judge)[0]['users']} users.\n\n{_table(columns, rows)}"


def _differences(part: Mapping[str, Any]) -> str:
    """Of everything that is no baseline, to all others."""
    judges = _judges(part)
    ours = [row["generator"] for row in _of(part, judges[0]) if row.get("against")]
    sections = []
    for name in ours:
        found = {judge: _row(part, judge, name)["against"] for judge in judges}
        others = sorted(found[judges[0]], key=lambda o: (o in BASELINES, o != _START, o))
        rows = [(other, *(_signed(found[judge][other]) for judge in judges)) for other in others]
        sections.append(f"### {name} less …\n\n{_table(('', *judges), rows)}")
    return "## Paired differences\n\nOf the total rewards of the same users.\n\n" + "\n\n".join(
        sections
    )


def _by_set(part: Mapping[str, Any], judge: str) -> str:
    names = [row["generator"] for row in by_total(_of(part, judge))]
    rows = [
        (name, *(_spread(_row(one, judge, name)["total"]) for one in part["sets"]))
        for name in names
    ]
    return f"Judge: {judge}.\n\n{_table(('generator', *_set_names(part)), rows)}"


def _auc(part: Mapping[str, Any]) -> str:
    """Own profile above a stranger's, for what is no baseline."""
    names = dict.fromkeys(row["generator"] for row in part["rows"] if row.get("against"))
    rows = [
        (name, judge, *(f"{_row(one, judge, name)['auc']:.3f}" for one in part["sets"]))
        for name in names
        for judge in _judges(part)
    ]
    return "AUC, own profile above a stranger's.\n\n" + _table(
        ("generator", "judge", *_set_names(part)), rows
    )


def _other_settings(measured: Mapping[str, Any], judge: str) -> str:
    settings = measured["settings"]
    names = [row["generator"] for row in by_total(_of(settings["primary"], judge))]
    rows = [
        (name, *(f"{_over_chance(part, judge, name):+.3f}" for part in settings.values()))
        for name in names
    ]
    return f"Judge: {judge}.\n\n{_table(('generator', *settings), rows)}"


def _over_chance(part: Mapping[str, Any], judge: str, generator: str) -> float:
    total: float = _row(part, judge, generator)["total"]["mean"]
    return total - float(part["chance"]["total"])


def _checks(part: Mapping[str, Any]) -> str:
    """What must hold if the measure is sound."""
    chance = part["chance"]["total"]
    rows = [
        (
            one["histories"],
            judge,
            f"{_row(one, judge, 'empty')['total']['mean'] - chance:+.4f}",
            _signed(_above(_row(one, judge, "stranger")["total"], chance)),
        )
        for one in ({"histories": "all", "rows": part["rows"]}, *part["sets"])
        for judge in _judges(part)
    ]
    return (
        "## Is the measure sound?\n\nAn empty profile must earn chance, and a stranger's no more: "
        "their distance from it.\n\n" + _table(("set", "judge", "empty", "stranger"), rows)
    )


def _training(number: int, part: Mapping[str, Any], docs: Path) -> str:
    sections = [f"## {part['title']}", part["text"]]
    if "remark" in part:
        sections.append(part["remark"])
    if "table" in part:
        sections.append(_table(part["table"]["columns"], part["table"]["rows"]))
    if "curves" in part:
        name = f"results-training-{number}.svg"
        _draw_curves(part["curves"], docs / name)
        sections.append(f"![Reward by step]({name})")
    sections += [
        f"{sample['of']}, before:\n\n{_quoted(sample['before'])}\n\nAfter:\n\n"
        + _quoted(sample["after"])
        for sample in part.get("samples", ())
    ]
    return "\n\n".join(sections)


def _quoted(text: str) -> str:
    """As a Markdown code block: what a model writes may hold anything."""
    return "\n".join(f"    {line}" for line in text.splitlines() or [""])


def _draw_curves(curves: Mapping[str, Sequence[Sequence[float]]], path: Path) -> None:
    figure, axes = pyplot.subplots(figsize=(8, 3.6), layout="constrained")
    for label, points in curves.items():
        axes.plot(*zip(*points, strict=True), label=label, linewidth=1.3)
    axes.set_xlabel("step")
    axes.set_ylabel("reward")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _judges(part: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(row["judge"] for row in part["rows"]))


def _set_names(part: Mapping[str, Any]) -> list[str]:
    return [str(one["histories"]) for one in part["sets"]]


def _of(part: Mapping[str, Any], judge: str) -> list[Row]:
    return [row for row in part["rows"] if row["judge"] == judge]


def _row(part: Mapping[str, Any], judge: str, generator: str) -> Row:
    (found,) = [row for row in _of(part, judge) if row["generator"] == generator]
    return found


def _above(interval: Mapping[str, float], chance: float) -> dict[str, float]:
    return {name: value - chance for name, value in interval.items()}


def _spread(interval: Mapping[str, float]) -> str:
    return f"{interval['mean']:.3f} ±{_half(interval):.3f}"


def _signed(interval: Mapping[str, float]) -> str:
    return f"{interval['mean']:+.3f} [{interval['low']:+.3f}, {interval['high']:+.3f}]"


def _half(interval: Mapping[str, float]) -> float:
    return (interval["high"] - interval["low"]) / 2
