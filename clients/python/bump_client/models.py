"""What is sent and what is answered, in the words of the API. Times are timezone-aware.

Answers may grow fields, and names such as a statement's `kind` may grow values: both are no error.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, Self, TypedDict
from uuid import UUID, uuid4

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, model_validator

MAX_ITEM_BYTES = 32_000


class Interaction(BaseModel):
    """One thing a user did: `text`, `attributes`, or both, 32,000 bytes at most.

    What is not given is chosen once, here: so the same object sent twice is stored once, and what
    waits in a buffer keeps its place in the history. Raises pydantic's ValidationError.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    user_id: str
    text: str = ""
    type: str = "interaction"
    attributes: dict[str, JsonValue] = Field(default_factory=dict)
    occurred_at: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    event_id: str = Field(default_factory=lambda: uuid4().hex)
    source: str = "api"

    @model_validator(mode="after")
    def _fits_into_a_batch(self) -> Self:
        # The rest is the API's to check; this keeps one item from sinking the batch it is in.
        attributes = json.dumps(
            self.attributes, ensure_ascii=False, separators=(",", ":"), allow_nan=False
        )
        size = len((self.text + attributes).encode())
        if size > MAX_ITEM_BYTES:
            raise ValueError(
                f"text with attributes takes {size} bytes; the limit is {MAX_ITEM_BYTES}"
            )
        return self


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class ItemResult(_Answer):
    """What became of one interaction; `reason` where it was rejected."""

    status: Literal["accepted", "duplicate", "rejected"]
    user_id: str | None
    event_id: str | None
    reason: str | None = None


class UserRevision(_Answer):
    user_id: str
    revision: int


class IngestResult(_Answer):
    """One result per interaction, in the order in which they were sent."""

    accepted: int
    duplicates: int
    rejected: int
    results: list[ItemResult]
    users: list[UserRevision]

    def revision(self, user_id: str) -> int:
        """The user's revision after this; `min_revision` of a profile that has read it.

        Raises KeyError for a user of whom nothing was stored.
        """
        return {user.user_id: user.revision for user in self.users}[user_id]


def merged(results: Sequence[IngestResult]) -> IngestResult:
    """The result of batches that were sent one after the other, as if they had been one."""
    # A user's later revision is the higher one, and takes the place of the earlier.
    revisions = {user.user_id: user for result in results for user in result.users}
    return IngestResult(
        accepted=sum(result.accepted for result in results),
        duplicates=sum(result.duplicates for result in results),
        rejected=sum(result.rejected for result in results),
        results=[item for result in results for item in result.results],
        users=list(revisions.values()),
    )


class StoredInteraction(_Answer):
    """As it was sent; `revision` is the one that it was stored under."""

    source: str
    event_id: str
    type: str
    occurred_at: datetime
    text: str
    attributes: dict[str, JsonValue]
    revision: int


class InteractionPage(_Answer):
    interactions: list[StoredInteraction]
    next_cursor: str | None


class Evidence(_Answer):
    source: str
    event_id: str


class Statement(_Answer):
    """One sentence about the user with the interactions that support it, newest last."""

    id: str
    kind: str
    text: str
    evidence: list[Evidence]


class Scores(_Answer):
    """How well a version predicted what its user did next; means over `windows`.

    `forward`, `backward`: 0 to 1. `score`: forward + backward - length penalty - chance.
    """

    judge: str
    windows: int
    forward: float
    backward: float
    chance: float
    score: float
    scored_at: datetime


class Profile(_Answer):
    """One version. `revision` is the history revision that it has read.

    `stale`: the history has moved on since; None beside versions that do not serve. `etag`: what
    `Bump.profile(…, known=…)` compares; None of what was not read that way.
    """

    user_id: str
    version: int
    revision: int
    stale: bool | None
    text: str
    statements: list[Statement]
    generator: str
    origin: str
    status: str
    tokens: int
    scores: Scores | None
    created_at: datetime
    etag: str | None = Field(default=None, exclude=True)


class VersionPage(_Answer):
    versions: list[Profile]
    next_before: int | None


class StatementChange(_Answer):
    before: Statement
    after: Statement


class Diff(_Answer):
    """What changed between two versions, statement by statement."""

    added: list[Statement]
    removed: list[Statement]
    changed: list[StatementChange]
    unchanged: int


class Regeneration(_Answer):
    """`done`: a worker has been at it, and `version` serves. Otherwise it is under way."""

    revision: int
    done: bool
    version: int | None


class Profiling(_Answer):
    profiling: Literal["on", "paused"]


class Receipt(_Answer):
    """Proof of an erasure. `user_digest` is BLAKE2b-128 over the project's and the user's ids."""

    receipt_id: UUID
    user_digest: str
    interactions: int
    profiles: int
    erased_at: datetime


Message = Mapping[str, str]


class PromptOptions(TypedDict, total=False):
    """What a prompt may depend on; the API's defaults where it is not given."""

    max_tokens: int
    model: str
    template: str
    relevant_only: bool


class AnswerOptions(PromptOptions, total=False):
    temperature: float
    top_p: float
    stop: list[str]
    seed: int


class ProfileUsed(_Answer):
    """The profile behind an answer; all None for a user without one."""

    profile_version: int | None
    profile_revision: int | None
    profile_stale: bool | None


class TokenUsage(_Answer):
    prompt_tokens: int
    completion_tokens: int


class Answer(ProfileUsed):
    output: str
    finish_reason: str | None
    usage: TokenUsage | None
    model: str


class AnswerEnd(_Answer):
    """The last event of a streamed answer."""

    finish_reason: str | None
    usage: TokenUsage | None


class Delta(_Answer):
    """A piece of a streamed answer."""

    text: str


class Prompt(ProfileUsed):
    """The messages as the downstream model would get them; `tokens` is an upper estimate."""

    messages: list[dict[str, str]]
    tokens: int


class Window(_Answer):
    """`limit` None: none is set. The window ends in `seconds_left`; 0: it has not begun."""

    limit: int | None
    used: int
    window_seconds: int
    seconds_left: float


class Usage(_Answer):
    """Windows by the name of their limit. `counted` False: no limit holds at the moment."""

    counted: bool
    windows: dict[str, Window]
