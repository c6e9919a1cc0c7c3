"""A CloudEvent: an interaction of its subject, or the reason why it is rejected."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.db.interactions import NewInteraction
from service.errors import InvalidBody, UnsupportedMediaType
from service.flows.cloud_events import parse_cloud_event, structured_event
from service.flows.ingest import Rejection

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
EVENT_FIELDS = ("specversion", "id", "source", "type", "subject", "time", "data")
EVENT = {
    "specversion": "1.0",
    "id": "e1",
    "source": "/shop",
    "type": "com.shop.purchase",
    "subject": "u1",
    "time": "2026-11-22T11:00:00Z",
    "data": {"text": "bought tea", "price": 4.5},
}
HEADERS = [(f"ce-{name}", value) for name, value in EVENT.items() if isinstance(value, str)]


class TestCloudEvent:
    def test_is_an_interaction_of_its_subject(self) -> None:
        assert parse_cloud_event(EVENT) == NewInteraction(
            user_id="u1",
            source="/shop",
            event_id="e1",
            occurred_at=datetime(2026, 11, 22, 11, tzinfo=UTC),
            type="com.shop.purchase",
            text="bought tea",
            attributes_json='{"price":4.5}',
        )

    @pytest.mark.parametrize(
        ("data", "text", "attributes"),
        [
            ("bought tea", "bought tea", "{}"),
            ({"text": "tea", "attributes": {"n": 1}}, "tea", '{"n":1}'),
            ({"text": "tea", "n": 1, "attributes": {"m": 2}}, "tea", '{"n":1,"m":2}'),
            ([1, 2], "", '{"data":[1,2]}'),
            (7, "", '{"data":7}'),
        ],
    )
    def test_data_is_the_text_or_text_and_attributes(
        self, data: Any, text: str, attributes: str
    ) -> None:
        item = parse_cloud_event({**EVENT, "data": data})
        assert isinstance(item, NewInteraction)
        assert (item.text, item.attributes_json) == (text, attributes)

    def test_extension_attributes_are_passed_over(self) -> None:
        assert parse_cloud_event({**EVENT, "traceparent": "00-1"}) == parse_cloud_event(EVENT)

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"specversion": "0.3"}, "specversion: only 1.0 is understood"),
            ({"subject": ""}, "subject: String should have at least 1 character"),
            ({"subject": "a/b"}, "subject: must not contain '/'"),
            ({"time": "2026-11-22T11:00:00"}, "time: Input should have timezone info"),
            ({"time": 1_700_000_000}, "time: Input should be a valid string"),
            ({"data": None}, "data: is empty, and there are no attributes either"),
            ({"data": {"text": 7}}, "data: Input should be a valid string"),
            ({"data": {"n": 1e300}}, "data: hold a number beyond 64 bits"),
            ({"data_base64": "dGVh"}, "data_base64: binary data is not understood"),
            ({"id": "i" * 257}, "id: String should have at most 256 characters"),
            (
                {"subject": "🍜" * 256, "source": "🍜" * 256, "id": "🍜" * 256},
                "subject, source and id",
            ),
        ],
    )
    def test_a_bad_one_is_rejected(self, changes: dict[str, Any], expected: str) -> None:
        item = parse_cloud_event({**EVENT, **changes})
        assert isinstance(item, Rejection) and item.reason.startswith(expected)

    @pytest.mark.parametrize("field", ["specversion", "id", "source", "type", "subject"])
    def test_what_the_standard_asks_for_is_required(self, field: str) -> None:
        item = parse_cloud_event({key: EVENT[key] for key in EVENT if key != field})
        assert isinstance(item, Rejection) and item.reason == f"{field}: Field required"

    def test_a_rejection_says_who_and_what_was_rejected(self) -> None:
        item = parse_cloud_event({**EVENT, "specversion": "0.3"})
        assert isinstance(item, Rejection)
        assert (item.user_id, item.event_id) == ("u1", "e1")


class TestBinaryMode:
    def test_is_the_same_event(self) -> None:
        body = orjson.dumps(EVENT["data"])
        assert orjson.loads(structured_event(HEADERS, "application/json", body)) == EVENT

    @pytest.mark.parametrize(
        ("media_type", "body", "data"),
        [
            ("", b"", None),
            ("application/json", b"", None),
            ("application/vnd.shop+json", b'"tea"', "tea"),
            ("text/plain", "Grüner Tee".encode(), "Grüner Tee"),
            ("text/markdown", b"{}", "{}"),
        ],
    )
    def test_the_body_is_the_data(self, media_type: str, body: bytes, data: Any) -> None:
        assert orjson.loads(structured_event(HEADERS, media_type, body))["data"] == data

    def test_header_values_are_percent_encoded(self) -> None:
        headers = [("ce-subject", "Zo%C3%AB%20%22%25"), ("x-ce-id", "other"), ("host", "bump.test")]
        assert orjson.loads(structured_event(headers, "", b"")) == {
            "subject": 'Zoë "%',
            "data": None,
        }

    def test_a_header_that_is_no_text_makes_no_id(self) -> None:
        event = orjson.loads(structured_event([*HEADERS, ("ce-id", "%FF")], "text/plain", b"tea"))
        item = parse_cloud_event(event)
        assert isinstance(item, Rejection) and item.reason.startswith("id: must not contain")

    @pytest.mark.parametrize(
        ("media_type", "body"),
        [("application/json", b"{"), ("a/b+json", b"\xff"), ("text/plain", b"\xff")],
    )
    def test_data_that_is_broken_cannot_be_read(self, media_type: str, body: bytes) -> None:
        with pytest.raises(InvalidBody, match=media_type.replace("+", r"\+")):
            structured_event(HEADERS, media_type, body)

    @pytest.mark.parametrize("media_type", ["", "application/octet-stream", "application/xml"])
    def test_data_of_another_type_is_not_understood(self, media_type: str) -> None:
        with pytest.raises(UnsupportedMediaType):
            structured_event(HEADERS, media_type, b"tea")


@given(json_values | st.dictionaries(st.sampled_from(EVENT_FIELDS), json_values))
def test_no_json_value_makes_parsing_an_event_raise(document: Any) -> None:
    assert isinstance(parse_cloud_event(document), NewInteraction | Rejection)
