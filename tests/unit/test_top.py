"""`bump top`: what it makes of the metrics of running processes."""

from io import StringIO
from pathlib import Path

import httpx2
import pytest
from rich.console import Console

from service.commands.metrics_reading import (
    Reading,
    known_addresses,
    read_metrics,
    remember_addresses,
)
from service.commands.top import LONGEST_LAG, Activity, between, shown, top
from service.errors import ConfigurationError

API = "http://api/metrics"
WORKER = "http://worker/metrics"
NOBODY = "http://127.0.0.1:1/metrics"


def metrics(
    *,
    accepted: int = 0,
    requests: int = 0,
    failed: int = 0,
    hits: int = 0,
    misses: int = 0,
    waiting: int = 0,
    written: int = 0,
    lags: tuple[int, int, int] = (0, 0, 0),
) -> str:
    """A `/metrics` with these counts; `lags`: within 1 s, within 60 s, over an hour."""
    quick, slow, late = lags
    return f"""
# TYPE bump_interactions_total counter
bump_interactions_total{{status="accepted"}} {accepted}
# TYPE bump_request_seconds histogram
bump_request_seconds_count{{route="/a",method="GET",status="200"}} {requests}
bump_request_seconds_count{{route="/a",method="GET",status="503"}} {failed}
# TYPE bump_cache_reads_total counter
bump_cache_reads_total{{result="hit"}} {hits}
bump_cache_reads_total{{result="miss"}} {misses}
# TYPE bump_regenerations_waiting gauge
bump_regenerations_waiting {waiting}
# TYPE bump_regeneration_seconds histogram
bump_regeneration_seconds_count{{generator="extractive",outcome="written"}} {written}
# TYPE bump_freshness_lag_seconds histogram
bump_freshness_lag_seconds_bucket{{le="1.0"}} {quick}
bump_freshness_lag_seconds_bucket{{le="60.0"}} {quick + slow}
bump_freshness_lag_seconds_bucket{{le="+Inf"}} {quick + slow + late}
"""


async def reading(at: float = 0.0, **pages: str) -> Reading:
    """What the addresses named by host say: `reading(api=metrics(…))`."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, text=pages[request.url.host])

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        found = await read_metrics(client, [f"http://{host}/metrics" for host in pages])
    return Reading(at, found.samples, found.silent)


async def activity(before: str, after: str, seconds: float = 2.0) -> Activity:
    earlier = await reading(api=before)
    return between(earlier, await reading(seconds, api=after), since=earlier)


async def test_rates_are_per_second() -> None:
    before = metrics(accepted=10, requests=5, written=1)
    found = await activity(before, metrics(accepted=30, requests=9, failed=2, written=2))
    assert (found.accepted, found.requests, found.failed_requests) == (10, 3, 1)
    assert found.written == 0.5


async def test_a_process_that_started_anew_makes_no_negative_rate() -> None:
    assert (await activity(metrics(accepted=30), metrics(accepted=2))).accepted == 0


async def test_the_share_of_reads_that_the_cache_answered() -> None:
    found = await activity(metrics(hits=1, misses=1), metrics(hits=4, misses=2))
    assert (found.reads, found.cache_share) == (2, 0.75)
    assert (await activity(metrics(), metrics())).cache_share is None


async def test_processes_are_added_up_and_the_queue_is_the_databases() -> None:
    both = await reading(api=metrics(accepted=3, waiting=7), worker=metrics(accepted=4, waiting=0))
    assert both.total("bump_interactions_total") == 7
    assert both.total("bump_regenerations_waiting") == 7


@pytest.mark.parametrize(
    ("lags", "median", "p95"),
    [
        ((99, 1, 0), 1, 1),
        ((60, 40, 0), 1, 60),
        ((1, 0, 99), LONGEST_LAG, LONGEST_LAG),
        ((0, 0, 0), None, None),
    ],
)
async def test_lags_are_the_bounds_that_so_many_profiles_kept(
    lags: tuple[int, int, int], median: float | None, p95: float | None
) -> None:
    found = await activity(metrics(), metrics(lags=lags))
    assert (found.median_lag, found.p95_lag) == (median, p95)


async def test_lags_are_those_of_the_window_or_else_of_all_profiles() -> None:
    before = metrics(lags=(90, 0, 0))
    assert (await activity(before, metrics(lags=(90, 5, 0)))).median_lag == 60
    assert (await activity(before, before)).median_lag == 1


async def test_an_address_that_says_nothing_is_named() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.host == "worker":
            return httpx2.Response(404, text="<html>")
        return httpx2.Response(200, text=metrics(accepted=1))

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        found = await read_metrics(client, [API, WORKER])
    assert found.silent == [WORKER]
    assert found.total("bump_interactions_total") == 1


async def test_where_nobody_answers_it_says_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="`bump up`"):
        await top([NOBODY], 0.1, once=True, as_json=True)


async def test_a_screen_says_it_in_words() -> None:
    found = await activity(metrics(), metrics(accepted=9, hits=2, waiting=3, lags=(9, 1, 0)))
    console = Console(file=StringIO(), width=120)
    console.print(shown(found, [API]))
    assert isinstance(console.file, StringIO)
    lines = {line.split()[0]: line for line in console.file.getvalue().splitlines()}
    assert "4.5 accepted/s" in lines["ingest"]
    assert "100% from the cache" in lines["reads"]
    assert "3 waiting" in lines["queue"]
    assert "half of the profiles within 1 s" in lines["freshness"]


def test_addresses_are_remembered_in_the_data_directory(tmp_path: Path) -> None:
    assert known_addresses(tmp_path) == []
    remember_addresses(tmp_path, [API, WORKER])
    assert known_addresses(tmp_path) == [API, WORKER]
