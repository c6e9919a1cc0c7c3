"""Interactions packed into as few requests as the API's limits allow."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from uuid import uuid4

from bump_client.models import Interaction

MAX_BODY_BYTES = 500_000
MAX_ITEMS = 1_000
_HEAD, _TAIL = b'{"interactions":[', b"]}"


@dataclass(frozen=True, slots=True)
class Batch:
    """One request. Its key is made once, so that every attempt at it counts as the same."""

    interactions: tuple[Interaction, ...]
    body: bytes
    idempotency_key: str


def batches(interactions: Iterable[Interaction]) -> Iterator[Batch]:
    """All of them, in order. Takes from `interactions` only what the next batch needs."""
    packed: list[Interaction] = []
    documents: list[bytes] = []
    size = len(_HEAD) + len(_TAIL)
    for interaction in interactions:
        document = interaction.model_dump_json().encode()
        full = len(packed) == MAX_ITEMS or size + len(document) + 1 > MAX_BODY_BYTES
        if packed and full:
            yield _batch(packed, documents)
            packed, documents, size = [], [], len(_HEAD) + len(_TAIL)
        packed.append(interaction)
        documents.append(document)
        size += len(document) + 1
    if packed:
        yield _batch(packed, documents)


def _batch(packed: Sequence[Interaction], documents: Sequence[bytes]) -> Batch:
    return Batch(tuple(packed), _HEAD + b",".join(documents) + _TAIL, uuid4().hex)
