"""The demo histories that ship with the project: well-formed, ordered and free of contact data."""

import json
import re
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from service.domain.interaction import MAX_EVENT_ID_CHARS, identifier_problem, user_id_problem

HISTORIES = Path(__file__).parents[2] / "examples" / "demo" / "histories.jsonl"
FIELDS = {"user_id", "event_id", "type", "occurred_at", "source", "text", "attributes"}
TYPES = {"message", "search", "purchase", "rating", "article_read", "feedback", "note"}
ATTRIBUTES = {"category", "tags", "rating", "price", "distance_km"}
FIRST_DAY = datetime(2026, 2, 1, tzinfo=UTC)
DAY_AFTER_LAST = datetime(2026, 11, 1, tzinfo=UTC)
MAX_TEXT_CHARS = 400
# What one request to `POST /v1/interactions` may carry.
MAX_BATCH_EVENTS = 1_000
MAX_BATCH_BYTES = 500_000

CONTACT_DATA = {
    "e-mail address": re.compile(r"\S@\S"),
    "URL": re.compile(r"https?:|www\.|\w\.(?:com|org|net|io|de|nl|uk)\b", re.IGNORECASE),
    "phone number": re.compile(r"\+?\d(?:[ ()/-]?\d){6,}"),
}

Record = dict[str, Any]


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return [json.loads(line) for line in HISTORIES.read_text("utf-8").splitlines()]


def test_every_line_has_exactly_the_documented_fields(records: list[Record]) -> None:
    assert all(set(record) == FIELDS for record in records)
    assert {record["type"] for record in records} == TYPES
    assert {record["source"] for record in records} == {"demo"}


def test_file_is_plain_utf8_without_ascii_escapes() -> None:
    text = HISTORIES.read_text("utf-8")
    assert "\\u" not in text
    assert text.endswith("}\n")


def test_identifiers_are_valid_and_event_ids_unique(records: list[Record]) -> None:
    assert all(user_id_problem(record["user_id"]) is None for record in records)
    event_ids = [record["event_id"] for record in records]
    assert all(identifier_problem(event_id, MAX_EVENT_ID_CHARS) is None for event_id in event_ids)
    assert len(set(event_ids)) == len(event_ids)


def test_at_least_twelve_users_have_at_least_forty_interactions(records: list[Record]) -> None:
    counts = Counter(record["user_id"] for record in records)
    assert len(counts) >= 12
    assert min(counts.values()) >= 40


def test_sorted_by_user_then_strictly_increasing_time(records: list[Record]) -> None:
    keys = [(record["user_id"], _occurred_at(record)) for record in records]
    assert all(earlier < later for earlier, later in pairwise(keys))


def test_event_ids_number_each_users_history_in_order(records: list[Record]) -> None:
    seen: Counter[str] = Counter()
    for record in records:
        user_id = record["user_id"]
        seen[user_id] += 1
        assert record["event_id"] == f"{user_id}-{seen[user_id]:04d}"


def test_dates_are_utc_and_between_february_and_october_2026(records: list[Record]) -> None:
    assert all(record["occurred_at"].endswith("Z") for record in records)
    assert all(FIRST_DAY <= _occurred_at(record) < DAY_AFTER_LAST for record in records)


def test_texts_have_three_to_sixty_words(records: list[Record]) -> None:
    for record in records:
        assert 3 <= len(record["text"].split()) <= 60, record["event_id"]
        assert len(record["text"]) <= MAX_TEXT_CHARS, record["event_id"]


def test_no_text_occurs_twice(records: list[Record]) -> None:
    texts = Counter(record["text"].casefold() for record in records)
    assert [text for text, count in texts.items() if count > 1] == []


@pytest.mark.parametrize("kind", CONTACT_DATA)
def test_texts_hold_no_contact_data(records: list[Record], kind: str) -> None:
    found = [r["event_id"] for r in records if CONTACT_DATA[kind].search(r["text"])]
    assert found == []


def test_attributes_are_the_documented_ones(records: list[Record]) -> None:
    for record in records:
        attributes = record["attributes"]
        assert {"category", "tags"} <= set(attributes) <= ATTRIBUTES, record["event_id"]
        assert attributes.get("rating", 1) in range(1, 6), record["event_id"]
        assert attributes.get("price", 1) > 0, record["event_id"]


def test_file_fits_into_one_request(records: list[Record]) -> None:
    assert len(records) <= MAX_BATCH_EVENTS
    assert HISTORIES.stat().st_size <= MAX_BATCH_BYTES


def test_one_history_quotes_an_injected_instruction(records: list[Record]) -> None:
    quoting = [r["user_id"] for r in records if "ignore previous instructions" in r["text"].lower()]
    assert quoting == ["ben-home-cook"]


def _occurred_at(record: Record) -> datetime:
    return datetime.fromisoformat(record["occurred_at"])
