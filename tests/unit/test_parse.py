"""One item as somebody sent it: an interaction, or the reason why it is rejected."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.db.interactions import NewInteraction
from service.flows.ingest import Rejection
from service.flows.parse import (
    MAX_ATTRIBUTE_DEPTH,
    MAX_ITEM_BYTES,
    parse_interaction,
    parse_line,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ("user_id", "event_id", "source", "type", "text", "occurred_at", "attributes")
FULL = {
    "user_id": "u1",
    "event_id": "e1",
    "source": "shop",
    "type": "purchase",
    "occurred_at": "2026-11-22T12:00:00+01:00",
    "text": "bought tea",
    "attributes": {"price": 4.5},
}


def accepted(document: dict[str, Any]) -> NewInteraction:
    item = parse_interaction(document)
    assert isinstance(item, NewInteraction), item
    return item


def reason(**changes: Any) -> str:
    """Why an item that is fine but for `changes` is rejected."""
    item = parse_interaction({"user_id": "u1", "text": "tea", **changes})
    assert isinstance(item, Rejection), item
    return item.reason


def nested(depth: int) -> bytes:
    return b'{"user_id": "u1", "attributes": {"a": %s}}' % (b"[" * depth + b"]" * depth)


class TestInteraction:
    def test_brings_all_its_fields(self) -> None:
        assert accepted(FULL) == NewInteraction(
            user_id="u1",
            source="shop",
            event_id="e1",
            occurred_at=datetime(2026, 11, 22, 11, tzinfo=UTC),
            type="purchase",
            text="bought tea",
            attributes_json='{"price":4.5}',
        )

    def test_needs_only_a_user_and_a_text(self) -> None:
        item = accepted({"user_id": "u1", "text": "tea"})
        assert (item.source, item.type, item.occurred_at) == ("api", "interaction", None)

    def test_may_say_everything_in_its_attributes(self) -> None:
        assert accepted({"user_id": "u1", "attributes": {"rating": 4}}).text == ""

    def test_without_an_event_id_gets_one_of_its_own(self) -> None:
        first, second = (accepted({"user_id": "u1", "text": "tea"}) for _ in range(2))
        assert first.event_id != second.event_id

    def test_a_clock_may_run_ahead_by_hours(self) -> None:
        soon = datetime.now(UTC) + timedelta(hours=23)
        assert accepted({**FULL, "occurred_at": soon.isoformat()}).occurred_at == soon

    @pytest.mark.parametrize(
        "number", ["9223372036854775807", "18446744073709551615", "-9223372036854775808", "0.1"]
    )
    def test_keeps_every_number_that_it_takes(self, number: str) -> None:
        item = parse_line(b'{"user_id": "u1", "attributes": {"a": %s}}' % number.encode())
        assert isinstance(item, NewInteraction) and item.attributes_json == f'{{"a":{number}}}'

    def test_the_longest_identifiers_are_accepted(self) -> None:
        longest = {"user_id": "u" * 256, "event_id": "e" * 256, "source": "s" * 256}
        assert accepted({**FULL, **longest, "type": "t" * 128}).event_id == "e" * 256


class TestRejection:
    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"user_id": None}, "user_id: Input should be a valid string"),
            ({"user_id": 7}, "user_id: Input should be a valid string"),
            ({"user_id": ""}, "user_id: must not be empty"),
            ({"user_id": "a/b"}, "user_id: must not contain '/'"),
            ({"user_id": "a\nb"}, "user_id: must not contain control characters"),
            ({"user_id": "u" * 257}, "user_id: String should have at most 256 characters"),
            ({"user_id": "a\ud800"}, "user_id: Input should be a valid string"),
            ({"event_id": ""}, "event_id: must not be empty"),
            ({"event_id": "a\x00"}, "event_id: must not contain control characters"),
            ({"event_id": 17}, "event_id: Input should be a valid string"),
            ({"source": ""}, "source: must not be empty"),
            ({"source": "\u2028"}, "source: must not contain control characters"),
            ({"type": "t" * 129}, "type: String should have at most 128 characters"),
            ({"text": ""}, "text: is empty, and there are no attributes either"),
            ({"text": "te\x00a"}, "text: must not contain NUL"),
            ({"text": "te\udfffa"}, "text: must not contain NUL characters or lone surrogates"),
            ({"text": ["tea"]}, "text: Input should be a valid string"),
            ({"attributes": [1]}, "attributes: Input should be a valid dictionary"),
            ({"attributes": {"a": [{"b": "\x00"}]}}, "attributes: must not contain NUL"),
            ({"attributes": {"\x00": 1}}, "attributes: must not contain NUL"),
            (
                {"attributes": {"a": "\ud800"}},
                "attributes: must not contain NUL characters or lone",
            ),
            ({"attributes": {"\udfff": 1}}, "attributes: must not contain NUL characters or lone"),
            ({"txt": "tea"}, "txt: Extra inputs are not permitted"),
            ({"project_id": "other"}, "project_id: Extra inputs are not permitted"),
        ],
    )
    def test_names_the_field_and_what_is_wrong(
        self, changes: dict[str, Any], expected: str
    ) -> None:
        assert reason(**changes).startswith(expected)

    @pytest.mark.parametrize("document", [None, True, 7, "tea", [], [FULL]])
    def test_an_item_is_an_object(self, document: Any) -> None:
        item = parse_interaction(document)
        assert isinstance(item, Rejection) and item.reason.startswith("item: Input should be")

    @pytest.mark.parametrize(
        "moment", [1_700_000_000, 1.7e9, "1700000000", "+1700000000", "1700000000.5", True]
    )
    def test_a_number_is_no_time(self, moment: object) -> None:
        assert "must be an RFC 3339 string" in reason(occurred_at=moment)

    @pytest.mark.parametrize("moment", ["2026-11-22T12:00:00", "2026-11-22"])
    def test_a_time_needs_an_offset(self, moment: str) -> None:
        assert reason(occurred_at=moment) == "occurred_at: Input should have timezone info"

    @pytest.mark.parametrize("moment", ["", "soon", "12:00", "2026-13-01T00:00:00Z", "1e9"])
    def test_what_is_no_time_is_told_so(self, moment: str) -> None:
        assert reason(occurred_at=moment).startswith("occurred_at: Input should be a valid")

    def test_a_time_over_a_day_ahead_is_a_broken_clock(self) -> None:
        ahead = (datetime.now(UTC) + timedelta(hours=25)).isoformat()
        assert reason(occurred_at=ahead) == "occurred_at: is more than 24 hours in the future"
        assert "future" in reason(occurred_at="9999-12-31T23:59:59-23:00")

    @pytest.mark.parametrize("moment", ["1899-12-31T23:59:59Z", "0001-01-01T00:00:00+23:00"])
    def test_a_time_before_1900_is_one_too(self, moment: str) -> None:
        assert reason(occurred_at=moment) == "occurred_at: is before 1900"

    def test_the_limit_counts_bytes_of_text_and_attributes(self) -> None:
        attributes = {"a": "é" * 5_000}
        room = MAX_ITEM_BYTES - len(orjson.dumps(attributes))
        accepted({"user_id": "u1", "text": "x" * room, "attributes": attributes})
        assert "the limit is 32000" in reason(text="x" * (room + 1), attributes=attributes)

    @pytest.mark.parametrize(
        "number",
        ["9223372036854775808e1", "18446744073709551616", "-9223372036854775809", "1e308", "1e-39"],
    )
    @pytest.mark.parametrize("shape", ['{"a": %s}', '{"a": [{"b": %s}]}'])
    def test_a_number_that_could_not_be_given_back_exactly_belongs_into_a_text(
        self, shape: str, number: str
    ) -> None:
        item = parse_line(b'{"user_id": "u1", "attributes": %s}' % (shape % number).encode())
        assert isinstance(item, Rejection)
        assert item.reason.startswith("attributes: hold a number beyond 64 bits or below 1e-38")

    @pytest.mark.parametrize("number", ["inf", "-inf", "nan"])
    def test_infinity_is_no_number(self, number: str) -> None:
        assert reason(attributes={"a": float(number)}).startswith("attributes: hold a number")

    def test_attributes_may_be_nested_so_deep_and_no_deeper(self) -> None:
        assert isinstance(parse_line(nested(MAX_ATTRIBUTE_DEPTH)), NewInteraction)
        too_deep = parse_line(nested(MAX_ATTRIBUTE_DEPTH + 1))
        assert isinstance(too_deep, Rejection)
        assert too_deep.reason == "attributes: are nested more than 32 levels deep"

    @pytest.mark.parametrize("depth", [300, 900])
    def test_the_deepest_attributes_are_rejected_with_a_short_reason(self, depth: int) -> None:
        item = parse_line(nested(depth))
        assert isinstance(item, Rejection)
        assert item.reason.startswith("attributes: ") and len(item.reason) < 120

    def test_several_problems_are_told_at_once(self) -> None:
        item = parse_interaction({"user": "ana", "txt": "tea"})
        assert isinstance(item, Rejection)
        assert [part.split(":")[0] for part in item.reason.split("; ")] == [
            "user_id",
            "user",
            "txt",
        ]

    def test_a_reason_names_no_attribute(self) -> None:
        item = parse_line(nested(900).replace(b'"a"', b'"canary"'))
        assert isinstance(item, Rejection) and "canary" not in item.reason

    def test_an_endless_field_name_is_cut(self) -> None:
        assert len(reason(**{"x" * 10_000: 1})) < 120

    def test_says_who_and_what_was_rejected(self) -> None:
        item = parse_interaction({**FULL, "text": "", "attributes": {}})
        assert isinstance(item, Rejection)
        assert (item.user_id, item.event_id) == ("u1", "e1")


class TestLine:
    def test_is_one_interaction(self) -> None:
        assert parse_line(orjson.dumps(FULL)) == accepted(FULL)

    def test_without_an_event_id_takes_the_one_given(self) -> None:
        item = parse_line(b'{"user_id": "u1", "text": "tea"}', default_event_id="line-7")
        assert isinstance(item, NewInteraction) and item.event_id == "line-7"

    @pytest.mark.parametrize(
        "line",
        [b"", b"tea", b'{"user_id": ', b'{"text": "\xff"}', b'{"text": "\\ud800"}', nested(2_000)],
    )
    def test_that_is_not_json_is_rejected(self, line: bytes) -> None:
        assert parse_line(line) == Rejection(None, None, "line: not valid JSON")


@given(json_values | st.dictionaries(st.sampled_from(FIELDS), json_values))
def test_no_json_value_makes_parsing_raise(document: Any) -> None:
    assert isinstance(parse_interaction(document), NewInteraction | Rejection)


@given(st.binary(max_size=200))
def test_no_line_makes_parsing_raise(line: bytes) -> None:
    assert isinstance(parse_line(line), NewInteraction | Rejection)
