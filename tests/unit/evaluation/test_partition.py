"""The partition of users: disjoint, about as large as said, and for ever the same."""

import pytest

from service.evaluation.partition import Part, part_of, users_of

USERS = [f"u{number:05}" for number in range(5_000)]


def test_every_user_is_of_one_part() -> None:
    histories = dict.fromkeys(USERS, ())
    found = [users_of(part, "papers", histories) for part in Part]
    assert sorted(user for users in found for user in users) == USERS


@pytest.mark.parametrize(
    ("part", "share"), [(Part.TRAINING, 0.5), (Part.VALIDATION, 0.1), (Part.EVALUATION, 0.4)]
)
def test_the_parts_are_as_large_as_they_are_said_to_be(part: Part, share: float) -> None:
    found = users_of(part, "papers", dict.fromkeys(USERS, ()))
    assert len(found) / len(USERS) == pytest.approx(share, abs=0.03)


def test_the_same_id_elsewhere_may_be_of_another_part() -> None:
    assert {part_of(source, "u00001") for source in map(str, range(50))} == set(Part)


def test_the_parts_never_change() -> None:
    assert [part_of("papers", user).value for user in USERS[:6]] == [
        *("evaluation", "evaluation", "training"),
        *("evaluation", "validation", "training"),
    ]
