"""Reads the `/metrics` of running processes: one by one, and added up."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import httpx2
from prometheus_client.parser import text_string_to_metric_families

_SECONDS = 5.0
_ADDRESSES = "metrics.json"

Labels = Mapping[str, str]
Key = tuple[str, frozenset[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class Reading:
    """What all addresses said at one time: `samples` by name and labels. `silent` said nothing.

    Counters are added up. Of a gauge the highest counts: the queue is the database's, and a
    process that has not looked at it says 0.
    """

    at: float
    samples: Mapping[Key, float]
    silent: Sequence[str]

    def total(self, name: str, which: Callable[[Labels], bool] = lambda _: True) -> float:
        """The sum of the samples of this name whose labels are such."""
        return sum(
            value
            for (found, labels), value in self.samples.items()
            if found == name and which(dict(labels))
        )

    def buckets(self, name: str) -> dict[float, float]:
        """How many observations of a histogram were at most so large."""
        counts: dict[float, float] = defaultdict(float)
        for (found, labels), value in self.samples.items():
            if found == f"{name}_bucket":
                counts[float(dict(labels)["le"])] += value
        return dict(sorted(counts.items()))


async def read_metrics(client: httpx2.AsyncClient, urls: Sequence[str]) -> Reading:
    """All of them at once."""
    answers = await asyncio.gather(*(_read(client, url) for url in urls))
    samples: dict[Key, float] = {}
    for key, value, is_gauge in (sample for answer in answers for sample in answer or ()):
        known = samples.get(key, 0.0)
        samples[key] = max(known, value) if is_gauge else known + value
    silent = [url for url, answer in zip(urls, answers, strict=True) if answer is None]
    return Reading(monotonic(), samples, silent)


async def _read(client: httpx2.AsyncClient, url: str) -> list[tuple[Key, float, bool]] | None:
    """Samples, each with whether it is a gauge's; None where these are no metrics."""
    try:
        response = await client.get(url, timeout=_SECONDS)
        response.raise_for_status()
        families = list(text_string_to_metric_families(response.text))
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError):
        return None
    return [
        ((sample.name, frozenset(sample.labels.items())), sample.value, family.type == "gauge")
        for family in families
        for sample in family.samples
    ]


def remember_addresses(data_dir: Path, urls: Sequence[str]) -> None:
    """For `known_addresses`: where the processes on this data directory say their metrics."""
    (data_dir / _ADDRESSES).write_text(json.dumps(urls))


def known_addresses(data_dir: Path) -> list[str]:
    """Of the `bump up` that runs, or ran last, on this data directory; empty without one."""
    try:
        found: list[str] = json.loads((data_dir / _ADDRESSES).read_text())
    except (OSError, ValueError):
        return []
    return found
