"""When a user is active, where the clock times tell anything."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC

from service.domain.interaction import Interaction
from service.generators.extractive.candidate import Candidate, Family, make_candidate
from service.generators.extractive.wording import percent
from service.generators.population import Population, active_hours

_MIN_DAYS = 8
_MIN_HOURS = 12
# More of the timestamps than this in the same minute of the day: dates without a clock time.
_SAME_MINUTE = 0.3
_WINDOW = 6
_MIN_SHARE = 0.6
_CLEARLY_MORE = 1.4
_UNKNOWN_SHARE = 0.4
_WEEKEND = (5, 6)
_WEEKEND_SHARE = 2 / 7
_CLEARLY_LESS = 0.25
_MIN_DAYS_FOR_WEEKENDS = 20


def rhythm_candidates(history: Sequence[Interaction], population: Population) -> list[Candidate]:
    """Hours and weekdays that stand out; busy hours count once, so one long sitting is no habit."""
    moments = [interaction.occurred_at.astimezone(UTC) for interaction in history]
    minutes = Counter((moment.hour, moment.minute) for moment in moments)
    if max(minutes.values()) > max(2, _SAME_MINUTE * len(moments)):
        return []
    cells = active_hours(history)
    days = {(day, weekday) for day, weekday, _ in cells}
    if len(days) < _MIN_DAYS or len(cells) < _MIN_HOURS:
        return []
    found = [_hours(history, cells, population), _weekends(history, days, population)]
    return [candidate for candidate in found if candidate is not None]


def _hours(
    history: Sequence[Interaction], cells: set[tuple[int, int, int]], population: Population
) -> Candidate | None:
    counts = Counter(hour for _, _, hour in cells)
    start = max(range(24), key=lambda hour: (_within(counts, hour), -hour))
    share = _within(counts, start) / len(cells)
    everybody = Counter(dict(enumerate(population.hours().sum(axis=0).tolist())))
    total = everybody.total()
    compared = population.users > 1
    usual = _within(everybody, start) / total if compared and total else _UNKNOWN_SHARE
    if share < _MIN_SHARE or share < _CLEARLY_MORE * usual:
        return None
    text = (
        f"Mostly active from {start}:00 to {(start + _WINDOW) % 24}:00 UTC "
        f"({percent(share)} of active hours)."
    )
    support = [
        position
        for position, interaction in enumerate(history)
        if (interaction.occurred_at.astimezone(UTC).hour - start) % 24 < _WINDOW
    ]
    return make_candidate(
        Family.RHYTHM,
        "hours",
        text,
        history,
        support,
        distinctiveness=share - usual,
        rank=0,
    )


def _weekends(
    history: Sequence[Interaction], days: set[tuple[int, int]], population: Population
) -> Candidate | None:
    if len(days) < _MIN_DAYS_FOR_WEEKENDS:
        return None
    share = sum(weekday in _WEEKEND for _, weekday in days) / len(days)
    everybody = population.hours().sum(axis=1)
    compared = population.users > 1
    usual = float(everybody[list(_WEEKEND)].sum() / everybody.sum()) if compared else _WEEKEND_SHARE
    rarely = share <= _CLEARLY_LESS * usual
    if not rarely and (share < 2 * usual or share < 0.5):
        return None
    at_weekend = [i.occurred_at.astimezone(UTC).weekday() in _WEEKEND for i in history]
    support = [position for position, weekend in enumerate(at_weekend) if weekend is not rarely]
    how = "Hardly ever" if rarely else "Mostly"
    text = f"{how} active at weekends ({percent(share)} of active days)."
    return make_candidate(
        Family.RHYTHM,
        "weekends",
        text if share else "Never active at weekends.",
        history,
        support,
        distinctiveness=abs(share - usual),
        rank=1,
    )


def _within(counts: Counter[int], start: int) -> int:
    return sum(counts[(start + offset) % 24] for offset in range(_WINDOW))
