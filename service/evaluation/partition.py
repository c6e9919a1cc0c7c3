"""Whose histories are for what: those trained on are never those reported on."""

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

History = TypeVar("History")

_TRAINING = 0.5
_VALIDATION = 0.1


class Part(StrEnum):
    """Half of the users, a tenth, and the rest."""

    TRAINING = "training"
    VALIDATION = "validation"
    EVALUATION = "evaluation"


def part_of(source: str, user_id: str) -> Part:
    """The part of a user of `source`, such as "acl_papers": by a hash, so for ever the same."""
    digest = hashlib.blake2b(f"{source}\x1f{user_id}".encode(), digest_size=8).digest()
    place = int.from_bytes(digest, "big") / 2**64
    if place < _TRAINING:
        return Part.TRAINING
    return Part.VALIDATION if place < _TRAINING + _VALIDATION else Part.EVALUATION


def users_of(part: Part, source: str, histories: Mapping[str, History]) -> dict[str, History]:
    """The histories of `source` whose users are of `part`."""
    return {user: history for user, history in histories.items() if part_of(source, user) is part}
