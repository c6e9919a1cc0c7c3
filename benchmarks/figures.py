"""Writes the figures of docs/performance.md from `results.json`: `python -m benchmarks.figures`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.marked import write_between

RESULTS = Path(__file__).with_name("results.json")
PAGE = Path(__file__).parents[1] / "docs/performance.md"
START, END = "<!-- figures: made by `make bench` -->", "<!-- end of the figures -->"
# In the page's order and words.
SHOWN = {
    "cached_reads_c8": "cached `GET …/profile`, 8 connections",
    "cached_reads_p99_c8": "its p99 (limit: 3 x p50 + 2 ms)",
    "cached_reads_c32": "cached `GET …/profile`, 32 connections",
    "cached_reads_p99_c32": "its p99",
    "personalize_prompt_c32": "`/v1/personalize/prompt`, 32 connections",
    "personalize_prompt_within_budget": "prompts within their token budget",
    "personalize_added_p50_c8": "added to a model's answer, 8 callers, p50 (limit: the answer)",
    "personalize_added_p99_c8": "the same, p99",
    "stream_first_word": "a stream's first word",
    "stream_throughput_c64": "64 streams at once, one process",
    "memory_after_10000_streams": "memory after 10,000 streams",
    "connections_left_after_10000_streams": "connections left after them",
    "relevance_p99": "relevance mode, p99",
    "generation_speed": "profiles by an LLM, one worker, against a closed loop",
    "generation_online_p95": "p95 of who else asks that LLM, beside a backlog",
    "regeneration_overhead": "a worker's own time a job",
    "ingest": "ingest, 100 events a batch, against COPY",
    "ingest_absolute": "the same, absolute",
    "cache_frozen_added_p99": "p99 added by a frozen cache",
    "cache_stopped_added_p99": "by a stopped one",
    "cache_flushed_added_p99": "by a flushed one",
    "history_fetch_p99_1000000_rows": "a history from a million rows, p99",
    "hot_user_reads_p99": "others' read p99 beside a hot user",
    "hot_user_ingest_p99": "others' ingest p99 beside a hot user",
    "local_model_alone": "bump-mini, one stream on one core, against transformers",
    "local_model_load": "its load, against the same",
}


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown, of the figures that are shown."""
    rows = [_row(label, results[name]) for name, label in SHOWN.items()]
    return "\n".join(["| what | Bump | limit | ratio | target |", "|---|---|---|---|---|", *rows])


def _row(label: str, result: Mapping[str, Any]) -> str:
    met = "met" if result["met"] else "missed"
    value, limit = (
        f"{result[key]:,.4g}" if result[key] < 1_000 else f"{result[key]:,.0f}"
        for key in ("value", "limit")
    )
    figures = f"{value} {result['unit']} | {limit} | {result['ratio']:.2f}"
    return f"| {label} | {figures} | {result['target']}: {met} |"


if __name__ == "__main__":
    write_between(PAGE, START, table(json.loads(RESULTS.read_text())), END)
