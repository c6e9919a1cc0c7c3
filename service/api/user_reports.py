"""A project's users: who there is, and why each one's profile is as it is."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from service.api import cursors
from service.api.dependencies import AdminCaller, RuntimeDep, UserId
from service.api.problems import documented
from service.api.regenerations import JobOut, job_document
from service.domain.interaction import MAX_USER_ID_CHARS, identifier_problem
from service.errors import InvalidCursor, InvalidField, NotFound
from service.flows import inspect_regenerations, inspect_users

router = APIRouter(prefix="/v1/users", tags=["users"])


class UserOut(BaseModel):
    user_id: str
    revision: int
    interaction_count: int
    first_seen_at: datetime | None
    last_seen_at: datetime | None
    profiling: Literal["on", "paused"]


class UserSummaryOut(UserOut):
    """A user and what serves for them; null where there is no profile or profiling is paused."""

    profile_version: int | None
    profile_revision: int | None
    generator: str | None
    written_at: datetime | None
    windows: int = Field(description="on which what served them was scored")
    score: float | None = Field(description="mean over the windows, 0 being chance")


class UserList(BaseModel):
    """In key order."""

    users: list[UserSummaryOut]
    next_cursor: str | None


class UserReportOut(UserOut):
    """`verdict`: why the user's profile is as it is, and what happens next."""

    verdict: str
    profile_version: int | None = Field(description="the one that serves, unless it is paused")
    newest_version: int | None = Field(description="it may not serve; null: none was ever written")
    regeneration: JobOut | None = Field(description="null: nothing waits for this user")


@router.get("", response_model=UserList, responses=documented(InvalidCursor))
async def list_users(
    caller: AdminCaller,
    runtime: RuntimeDep,
    prefix: Annotated[
        str,
        Query(
            max_length=MAX_USER_ID_CHARS,
            description="only those whose id begins with it",
            json_schema_extra={"pattern": r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029\ufffd]*$"},
        ),
    ] = "",
    cursor: Annotated[str | None, Query(max_length=2_048)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> dict[str, Any]:
    """The project's users by id, with what serves for each of them."""
    problem = identifier_problem(prefix, MAX_USER_ID_CHARS) if prefix else None
    if problem:
        raise InvalidField(("prefix", problem))
    found = await inspect_users.list_users(
        runtime.database,
        caller.project_id,
        prefix=prefix,
        after=cursors.decode_user_id(cursor) if cursor else "",
        limit=limit,
        judge=runtime.settings.judge,
    )
    return {
        "users": [asdict(user) for user in found],
        "next_cursor": cursors.encode_user_id(found[-1].user_id) if len(found) == limit else None,
    }


@router.get("/{user_id}", response_model=UserReportOut, responses=documented(NotFound))
async def get_user(user_id: UserId, caller: AdminCaller, runtime: RuntimeDep) -> dict[str, Any]:
    """A user, the regeneration that waits for them, and why their profile is as it is."""
    found = await inspect_regenerations.explain(
        runtime.database, caller.project_id, user_id, runtime.settings.min_interactions
    )
    serving = None if found.user.paused else found.serving
    return {
        **asdict(found.user),
        "verdict": found.verdict,
        "profile_version": serving.version if serving else None,
        "newest_version": found.newest.version if found.newest else None,
        "regeneration": job_document(found.regeneration) if found.regeneration else None,
    }
