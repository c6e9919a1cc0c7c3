"""A user's data: the history page by page, export, erasure, objection."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query

from service.api import cursors
from service.api.dependencies import AdminCaller, ReadCaller, RuntimeDep, StrictJsonRoute, UserId
from service.api.documents import (
    ExportOut,
    InteractionPage,
    ProfilingIn,
    ProfilingOut,
    ReceiptOut,
    interaction_document,
)
from service.api.problems import documented
from service.domain.profile import profile_document
from service.errors import InvalidBody, InvalidCursor, NotFound, TooLarge
from service.flows import erase
from service.flows.read_history import read_history

router = APIRouter(prefix="/v1/users/{user_id}", tags=["users"], route_class=StrictJsonRoute)


@router.get(
    "/interactions", response_model=InteractionPage, responses=documented(NotFound, InvalidCursor)
)
async def list_interactions(
    user_id: UserId,
    caller: ReadCaller,
    runtime: RuntimeDep,
    cursor: Annotated[str | None, Query(max_length=2_048)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> dict[str, Any]:
    """The user's history, newest first."""
    page = await read_history(
        runtime.database,
        caller.project_id,
        user_id,
        before=cursors.decode(cursor) if cursor else None,
        limit=limit,
    )
    return {
        "interactions": [interaction_document(interaction) for interaction in page],
        "next_cursor": cursors.encode(page[-1]) if len(page) == limit else None,
    }


@router.get("/export", response_model=ExportOut, responses=documented(NotFound))
async def export_user(user_id: UserId, caller: AdminCaller, runtime: RuntimeDep) -> dict[str, Any]:
    """Everything held about the user (data portability)."""
    found = await erase.export(runtime.database, caller.project_id, user_id)
    return {
        "user_id": found.user.user_id,
        "revision": found.user.revision,
        "interaction_count": found.user.interaction_count,
        "first_seen_at": found.user.first_seen_at,
        "last_seen_at": found.user.last_seen_at,
        "profiling": found.user.profiling,
        "corrections": {
            "pinned": found.corrections.pinned,
            "suppressed": found.corrections.suppressed,
        },
        "profiles": [profile_document(p, stale=None) for p in found.profiles],
        "interactions": [interaction_document(i) for i in found.interactions],
    }


@router.delete("", response_model=ReceiptOut, responses=documented(NotFound))
async def erase_user(user_id: UserId, caller: AdminCaller, runtime: RuntimeDep) -> dict[str, Any]:
    """Erase the user: history, profiles, corrections, jobs and cached copies."""
    receipt = await erase.erase(runtime.database, runtime.cache, caller.project_id, user_id)
    return asdict(receipt)


@router.put(
    "/profiling",
    response_model=ProfilingOut,
    responses=documented(InvalidBody, NotFound, TooLarge),
)
async def set_profiling(
    user_id: UserId, body: ProfilingIn, caller: AdminCaller, runtime: RuntimeDep
) -> dict[str, Any]:
    """Pause profiling (objection) or resume it. While paused, no profile is written or served."""
    await erase.set_profiling(
        runtime.database,
        runtime.cache,
        caller.project_id,
        user_id,
        body.profiling,
        runtime.settings.min_interactions,
    )
    return {"user_id": user_id, "profiling": body.profiling}
