"""Identifiers, and the order in which a history is read."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.interaction import (
    MAX_USER_ID_CHARS,
    EventKey,
    Interaction,
    history_order,
    identifier_problem,
    user_id_problem,
)

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def interaction(event_id: str, *, source: str = "api", seconds: int = 0) -> Interaction:
    return Interaction(event_id, NOON + timedelta(seconds=seconds), "text", source=source)


@pytest.mark.parametrize(
    "value", ["u1", ":&=%00", "a b", "Ünïcödé", "用户", "👩‍💻", "..x", "'; drop table users --"]
)
def test_any_script_and_punctuation_is_an_identifier(value: str) -> None:
    assert identifier_problem(value, 256) is None
    assert user_id_problem(value) is None


@pytest.mark.parametrize(
    "value", ["a\x00b", "a\nb", "\x1b[31m", "\x7f", "\x85", "\u2028", "\ud800"]
)
def test_what_cannot_be_stored_or_shown_is_none(value: str) -> None:
    problem = identifier_problem(value, 256)
    assert problem and "control characters" in problem


def test_an_identifier_is_not_empty() -> None:
    assert identifier_problem("", 256) == "must not be empty"


def test_an_identifier_has_a_longest_length() -> None:
    assert user_id_problem("x" * MAX_USER_ID_CHARS) is None
    assert user_id_problem("x" * (MAX_USER_ID_CHARS + 1)) == "must have at most 256 characters"


@pytest.mark.parametrize("value", [".", "..", "a/b", "/"])
def test_a_user_id_is_one_segment_of_a_url_path(value: str) -> None:
    problem = user_id_problem(value)
    assert problem and "segment" in problem


@pytest.mark.parametrize("value", [".", "..", "a/b"])
def test_other_identifiers_may_hold_slashes(value: str) -> None:
    assert identifier_problem(value, 256) is None


def test_a_key_is_the_source_and_the_id_there() -> None:
    assert interaction("e1", source="web").key == EventKey("web", "e1")


def test_history_is_ordered_by_time_then_source_then_event_id() -> None:
    ordered = [
        interaction("e9", source="z", seconds=0),
        interaction("e2", source="a", seconds=1),
        interaction("e1", source="b", seconds=1),
        interaction("e2", source="b", seconds=1),
    ]
    assert sorted(reversed(ordered), key=history_order) == ordered


def test_history_order_compares_moments_and_not_wall_clocks() -> None:
    earlier = Interaction("b", datetime.fromisoformat("2026-11-22T12:00:00+02:00"), "text")
    later = Interaction("a", datetime.fromisoformat("2026-11-22T11:00:00+00:00"), "text")
    assert sorted([later, earlier], key=history_order) == [earlier, later]


@given(st.permutations([interaction(f"e{n}", seconds=n // 3) for n in range(9)]))
def test_history_order_does_not_depend_on_arrival(arrived: list[Interaction]) -> None:
    assert [i.event_id for i in sorted(arrived, key=history_order)] == [f"e{n}" for n in range(9)]
