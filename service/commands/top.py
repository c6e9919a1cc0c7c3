"""`bump top`: ingest, reads, queue and freshness of running processes, live in the terminal."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile
from math import inf

import httpx2
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from service.commands.metrics_reading import Reading, read_metrics
from service.commands.printing import out, print_json
from service.errors import ConfigurationError

# The last bound of the histogram: what took longer is not told apart.
LONGEST_LAG = 3600.0
_WINDOW_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Activity:
    """What happened between two readings. Rates are per second.

    `cache_share`: of the profile reads, those that the cache answered; None without a read.
    `median_lag`, `p95_lag`: seconds from an interaction to the profile that has read it, at most
    (LONGEST_LAG: that, or more); None where no profile was written.
    """

    seconds: float
    accepted: float
    duplicates: float
    rejected: float
    requests: float
    failed_requests: float
    reads: float
    cache_share: float | None
    waiting: int
    parked: int
    oldest_seconds: float
    written: float
    failed: float
    median_lag: float | None
    p95_lag: float | None
    silent: Sequence[str]


async def top(urls: Sequence[str], interval: float, *, once: bool, as_json: bool) -> None:
    """Until it is interrupted, or `once`. Raises ConfigurationError where nothing answers."""
    # A process in the cluster or on this machine: no proxy stands between.
    async with httpx2.AsyncClient(trust_env=False) as client:
        readings = deque([await _first(client, urls)])
        if once or as_json:
            await _print(client, urls, readings, interval, once=once, as_json=as_json)
            return
        with Live(Text("Reading …"), console=out, auto_refresh=False) as live:
            while True:
                found = await _next(client, urls, readings, interval)
                live.update(shown(found, urls), refresh=True)


def between(earlier: Reading, later: Reading, since: Reading) -> Activity:
    """Rates from `earlier` to `later`; the lag of profiles written from `since` to `later`."""
    seconds = later.at - earlier.at

    def rate(name: str, which: Callable[[Mapping[str, str]], bool] = lambda _: True) -> float:
        # A process that was started anew counts from 0 again.
        return max(0.0, later.total(name, which) - earlier.total(name, which)) / seconds

    def with_status(status: str) -> float:
        return rate("bump_interactions_total", lambda labels: labels["status"] == status)

    reads = rate("bump_cache_reads_total")
    hits = rate("bump_cache_reads_total", lambda labels: labels["result"] == "hit")
    lags = _difference(since, later)
    return Activity(
        seconds=seconds,
        accepted=with_status("accepted"),
        duplicates=with_status("duplicate"),
        rejected=with_status("rejected"),
        requests=rate("bump_request_seconds_count"),
        failed_requests=rate(
            "bump_request_seconds_count", lambda labels: labels["status"].startswith("5")
        ),
        reads=reads,
        cache_share=hits / reads if reads else None,
        waiting=int(later.total("bump_regenerations_waiting")),
        parked=int(later.total("bump_regenerations_parked")),
        oldest_seconds=later.total("bump_regenerations_oldest_seconds"),
        written=rate("bump_regeneration_seconds_count", lambda ls: ls["outcome"] == "written"),
        failed=rate("bump_regeneration_seconds_count", lambda ls: ls["outcome"] == "failed"),
        median_lag=_quantile(lags, 0.5),
        p95_lag=_quantile(lags, 0.95),
        silent=later.silent,
    )


def shown(found: Activity, urls: Sequence[str]) -> RenderableType:
    """A screen of it."""
    table = Table.grid(padding=(0, 2))
    table.add_row("ingest", _rates(accepted=found.accepted, duplicate=found.duplicates,
                                   rejected=found.rejected))  # fmt: skip
    table.add_row("requests", _rates(answered=found.requests, failed=found.failed_requests))
    share = "" if found.cache_share is None else f", {found.cache_share:.0%} from the cache"
    table.add_row("reads", f"{found.reads:,.1f}/s{share}")
    table.add_row(
        "queue",
        f"{found.waiting:,} waiting, {found.parked:,} parked, the oldest due for "
        f"{found.oldest_seconds:,.0f} s",
    )
    table.add_row("profiles", _rates(written=found.written, failed=found.failed))
    table.add_row("freshness", _lag(found))
    answering = [url for url in urls if url not in found.silent]
    lines = [Text(f"{', '.join(answering)}, over {found.seconds:.1f} s", style="bold")]
    lines += [Text(f"{url} does not answer", style="red") for url in found.silent]
    return Group(*lines, table)


async def _first(client: httpx2.AsyncClient, urls: Sequence[str]) -> Reading:
    reading = await read_metrics(client, urls)
    if len(reading.silent) == len(urls):
        raise ConfigurationError(
            f"No metrics at {', '.join(urls)}: start Bump (`bump up`), or name the /metrics of its "
            "API and its workers (BUMP_METRICS_PORT)."
        )
    return reading


async def _next(
    client: httpx2.AsyncClient, urls: Sequence[str], readings: deque[Reading], interval: float
) -> Activity:
    """Reads again after `interval`; keeps in `readings` what a window of lags needs."""
    await asyncio.sleep(interval)
    earlier, later = readings[-1], await read_metrics(client, urls)
    readings.append(later)
    while len(readings) > 2 and later.at - readings[1].at >= _WINDOW_SECONDS:
        readings.popleft()
    return between(earlier, later, since=readings[0])


async def _print(
    client: httpx2.AsyncClient,
    urls: Sequence[str],
    readings: deque[Reading],
    interval: float,
    *,
    once: bool,
    as_json: bool,
) -> None:
    while True:
        found = await _next(client, urls, readings, interval)
        if as_json:
            print_json(asdict(found))
        else:
            out.print(shown(found, urls))
        if once:
            return


def _difference(earlier: Reading, later: Reading) -> dict[float, float]:
    """The lags observed in between; of all there are where none was, or a process is new."""
    name = "bump_freshness_lag_seconds"
    before, after = earlier.buckets(name), later.buckets(name)
    observed = {bound: count - before.get(bound, 0.0) for bound, count in after.items()}
    return observed if observed.get(inf, 0.0) > 0 else after


def _quantile(buckets: Mapping[float, float], share: float) -> float | None:
    """The bound under which that share of the observations lies."""
    count = buckets.get(inf, 0.0)
    if not count:
        return None
    below = list(takewhile(lambda bound: buckets[bound] < share * count, buckets))
    return min(LONGEST_LAG, list(buckets)[len(below)])


def _rates(**rates: float) -> str:
    return ", ".join(f"{value:,.1f} {name}/s" for name, value in rates.items())


def _lag(found: Activity) -> str:
    if found.median_lag is None or found.p95_lag is None:
        return "no profile was written yet"
    half, most = (
        "took an hour or more" if lag == LONGEST_LAG else f"within {lag:g} s"
        for lag in (found.median_lag, found.p95_lag)
    )
    return f"half of the profiles {half}, 95 % {most}"
