"""Outcomes as rows: means over users with their intervals, and paired differences."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

from service.bump.gate import bootstrap_interval
from service.bump.ranking import chance
from service.bump.setting import Setting
from service.evaluation.baselines import BASELINES
from service.evaluation.bidirectional import UserResult
from service.evaluation.scoring import Outcome

Row = dict[str, Any]

_DIGITS = 6


def pooled(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """One outcome for each generator and judge, over the users of all the sets it comes from."""
    found: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        found.setdefault((outcome.generator, outcome.judge), []).append(outcome)
    return [
        Outcome(
            generator,
            judge,
            tuple(result for part in parts for result in part.results),
            sum(part.without_profile for part in parts),
        )
        for (generator, judge), parts in found.items()
    ]


def rows(outcomes: Sequence[Outcome], *, seed: int) -> list[Row]:
    """A row for each outcome; the intervals hold 95 % of 10,000 resamplings of the users.

    What is no baseline also gets its paired differences to all others under the same judge.
    """
    return [
        {**_row(outcome, seed=seed), **_differences(outcome, outcomes, seed=seed)}
        for outcome in outcomes
    ]


def best_baseline(rows: Iterable[Row], judge: str) -> str | None:
    """The baseline with the highest total under `judge`; None where there is no baseline."""
    found = [row for row in rows if row["judge"] == judge and row["generator"] in BASELINES]
    best = max(found, key=lambda row: float(row["total"]["mean"]), default=None)
    return None if best is None else str(best["generator"])


def totals(outcome: Outcome) -> list[float]:
    return [result.reward.total for result in outcome.results]


def chances(setting: Setting) -> dict[str, float]:
    """What a profile that says nothing earns in each direction, and in all."""
    forward = chance(setting.held_out + setting.negatives, setting.held_out)
    backward = chance(1 + setting.negatives, 1)
    return {
        "forward": round(forward, _DIGITS),
        "backward": round(backward, _DIGITS),
        "total": round(forward + backward, _DIGITS),
    }


def _row(outcome: Outcome, *, seed: int) -> Row:
    results = outcome.results
    return {
        "generator": outcome.generator,
        "judge": outcome.judge,
        "forward": _interval([result.reward.forward for result in results], seed),
        "backward": _interval([result.reward.backward for result in results], seed),
        "total": _interval(totals(outcome), seed),
        **{name: _mean(name, results) for name in ("auc", "copy_rate", "tokens")},
        "users": len(results),
        "without_profile": outcome.without_profile,
    }


def _differences(outcome: Outcome, outcomes: Sequence[Outcome], *, seed: int) -> Row:
    """Of the totals of the same users: ours less theirs, by the other's name."""
    if outcome.generator in BASELINES:
        return {}
    others = [o for o in outcomes if o.judge == outcome.judge and o is not outcome]
    return {
        "against": {
            other.generator: _interval(
                [a - b for a, b in zip(totals(outcome), totals(other), strict=True)], seed
            )
            for other in others
        }
    }


def _interval(values: Sequence[float], seed: int) -> dict[str, float]:
    found = asdict(bootstrap_interval(values, seed=seed))
    return {name: round(value, _DIGITS) for name, value in found.items()}


def _mean(name: str, results: Sequence[UserResult]) -> float:
    return round(fmean(getattr(result, name) for result in results), _DIGITS)
