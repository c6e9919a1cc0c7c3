"""A judge by meaning: the cosine of sentence vectors, a profile's statements one by one.

A profile speaks of several things and an interaction of one: so the best statement counts, not
their mean.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np

from service.bump.judge import Cost, Direction, Question, Scores
from service.judges.encoder import Encoder, Vectors

_REMEMBERED_PROFILES = 20_000

# What of a text is encoded on its own: each statement of a profile, an interaction as a whole.
Parts = tuple[str, ...]


class EmbeddingJudge:
    """Scores from -1 to 1. A profile without a statement is like nothing: it scores 0."""

    name = "embedding"
    sees_order = False

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self._questions = 0
        self._tokens_before = encoder.tokens

    @property
    def cost(self) -> Cost:
        return Cost(calls=self._questions, tokens=self.encoder.tokens - self._tokens_before)

    async def score(self, questions: Sequence[Question]) -> list[Scores]:
        self._questions += len(questions)
        return await asyncio.to_thread(self._scored, questions)

    async def close(self) -> None:
        """Others may use the encoder: it is not the judge's to close."""

    def _scored(self, questions: Sequence[Question]) -> list[Scores]:
        asked = [_parts(question) for question in questions]
        distinct = dict.fromkeys(
            part for query, candidates in asked for parts in (query, *candidates) for part in parts
        )
        vectors = self.encoder.embed(list(distinct))
        rows = {part: row for row, part in enumerate(distinct)}
        return [_likeness(query, candidates, vectors, rows) for query, candidates in asked]


def _parts(question: Question) -> tuple[Parts, list[Parts]]:
    """Of the query, and of each candidate."""
    if question.direction is Direction.FORWARD:
        return _statements(question.query), [(candidate,) for candidate in question.candidates]
    return (question.query,), [_statements(candidate) for candidate in question.candidates]


@lru_cache(maxsize=_REMEMBERED_PROFILES)
def _statements(profile: str) -> Parts:
    statements = tuple(line for line in map(str.strip, profile.splitlines()) if line)
    return statements or ("",)


def _likeness(
    query: Parts, candidates: Sequence[Parts], vectors: Vectors, rows: Mapping[str, int]
) -> Scores:
    """For each candidate, the cosine of the two parts that are most alike."""

    def of(parts: Iterable[str]) -> Vectors:
        return vectors[[rows[part] for part in parts]]

    # Not `@`: BLAS rounds by place, and equal candidates would no longer tie.
    cosines = np.einsum("qd,cd->qc", of(query), of(part for parts in candidates for part in parts))
    ends = np.cumsum([len(parts) for parts in candidates])
    best: list[float] = np.maximum.reduceat(cosines.max(axis=0), [0, *ends[:-1]]).tolist()
    return best
