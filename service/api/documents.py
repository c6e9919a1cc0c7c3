"""The shapes of answers about users and profiles, as OpenAPI documents them."""

from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from service.domain.interaction import Interaction
from service.domain.profile import (
    Profile,
    ProfileOrigin,
    ProfileStatus,
    StatementKind,
    profile_document,
)
from service.flows.export import Export

Item = TypeVar("Item")


class Evidence(BaseModel):
    source: str
    event_id: str


class StatementOut(BaseModel):
    """One sentence about the user with the interactions that support it, newest last."""

    id: str = Field(description="stable while the statement is about the same thing")
    kind: StatementKind
    text: str
    evidence: list[Evidence]


class ScoresOut(BaseModel):
    """How well the version predicted what its user did next; means over `windows`."""

    judge: str
    windows: int = Field(description="of four interactions each, which it had not read")
    forward: float = Field(description="the profile picks out its user's interactions, 0 to 1")
    backward: float = Field(description="the interactions pick out the profile, 0 to 1")
    chance: float = Field(description="forward + backward of a judge that says nothing")
    score: float = Field(description="forward + backward - length penalty - chance")
    scored_at: datetime


class ProfileOut(BaseModel):
    """One version of a profile."""

    user_id: str
    version: int
    revision: int = Field(description="the history revision that the generator had read")
    stale: bool | None = Field(
        description="the history has moved on since it was written; null beside other versions"
    )
    text: str
    statements: list[StatementOut]
    generator: str
    origin: ProfileOrigin
    status: ProfileStatus
    tokens: int
    scores: ScoresOut | None = Field(
        description="null until the version was scored on interactions that came after it"
    )
    created_at: datetime


class VersionList(BaseModel):
    versions: list[ProfileOut]
    next_before: int | None = Field(description="pass it as `before` for the next page")


class StatementChangeOut(BaseModel):
    before: StatementOut
    after: StatementOut


class DiffOut(BaseModel):
    """What changed between two versions, statement by statement."""

    added: list[StatementOut]
    removed: list[StatementOut]
    changed: list[StatementChangeOut]
    unchanged: int


# What callers send is taken as it is: no "1" for a 1, and no field that means nothing here.
STRICT = ConfigDict(extra="forbid", strict=True)
MAX_SENTENCE_CHARS = 400
Sentence = Annotated[
    str,
    Field(
        json_schema_extra={
            "minLength": 1,
            "maxLength": MAX_SENTENCE_CHARS,
            "pattern": r"^[^\x00]*[^\x00\s][^\x00]*$",
        }
    ),
]


class CorrectionsIn(BaseModel):
    """The whole set of corrections; it replaces the last one."""

    model_config = STRICT

    pinned: list[Sentence] = Field(
        default_factory=list, max_length=20, description="sentences that always stand first"
    )
    suppressed: list[Sentence] = Field(
        default_factory=list,
        max_length=200,
        description="statement ids or sentences that never appear again",
    )


class ScoreOut(BaseModel):
    """A version on one window of interactions that it had not read."""

    version: int
    generator: str
    first_occurred_at: datetime = Field(description="of the window's interactions")
    last_occurred_at: datetime
    forward: float
    backward: float
    chance: float
    score: float = Field(description="forward + backward - length penalty - chance")
    scored_at: datetime


class ScoreList(BaseModel):
    """Oldest first, the newest 50 windows at most."""

    judge: str
    scores: list[ScoreOut]


class RegenerationOut(BaseModel):
    """`done`: a worker has been at it, and `version` serves. Otherwise it is under way."""

    revision: int
    done: bool
    version: int | None


class RollbackIn(BaseModel):
    model_config = STRICT

    version: int = Field(ge=1, le=2**31 - 1)


class InteractionOut(BaseModel):
    source: str
    event_id: str
    type: str
    occurred_at: datetime
    text: str
    attributes: dict[str, JsonValue]
    revision: int


class InteractionPage(BaseModel):
    """Newest first."""

    interactions: list[InteractionOut]
    next_cursor: str | None


class EvidenceList(BaseModel):
    """The interactions that support a version's statements, newest first."""

    interactions: list[InteractionOut]


class ExportOut(BaseModel):
    """Everything held about a user."""

    user_id: str
    revision: int
    interaction_count: int
    first_seen_at: datetime | None
    last_seen_at: datetime | None
    profiling: Literal["on", "paused"]
    corrections: CorrectionsIn
    profiles: list[ProfileOut]
    interactions: list[InteractionOut]


class ReceiptOut(BaseModel):
    """Proof of an erasure. `user_digest` is BLAKE2b-128 over the project's and user's ids."""

    receipt_id: UUID
    user_digest: str
    interactions: int
    profiles: int
    erased_at: datetime


class ProfilingIn(BaseModel):
    model_config = STRICT

    profiling: Literal["on", "paused"]


class ProfilingOut(BaseModel):
    user_id: str
    profiling: Literal["on", "paused"]


def interaction_document(interaction: Interaction) -> dict[str, Any]:
    return {
        "source": interaction.source,
        "event_id": interaction.event_id,
        "type": interaction.type,
        "occurred_at": interaction.occurred_at,
        "text": interaction.text,
        "attributes": interaction.attributes,
        "revision": interaction.revision,
    }


async def export_document(export: Export) -> AsyncIterator[bytes]:
    """The JSON of an `ExportOut`, piece by piece."""
    head = {
        "user_id": export.user.user_id,
        "revision": export.user.revision,
        "interaction_count": export.user.interaction_count,
        "first_seen_at": export.user.first_seen_at,
        "last_seen_at": export.user.last_seen_at,
        "profiling": export.user.profiling,
        "corrections": asdict(export.corrections),
    }
    yield _json(head)[:-1] + b',"profiles":'
    async for piece in _json_array(export.profiles(), _version_document):
        yield piece
    yield b',"interactions":'
    async for piece in _json_array(export.interactions(), interaction_document):
        yield piece
    yield b"}"


async def _json_array(
    pages: AsyncIterator[list[Item]], document: Callable[[Item], dict[str, Any]]
) -> AsyncIterator[bytes]:
    separator = b"["
    async for page in pages:
        yield separator + b",".join(_json(document(item)) for item in page)
        separator = b","
    yield b"]" if separator == b"," else b"[]"


def _version_document(profile: Profile) -> dict[str, Any]:
    return profile_document(profile, stale=None)


def _json(document: dict[str, Any]) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_UTC_Z)
