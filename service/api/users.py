"""A user's data: the history page by page, export, erasure, objection."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import StreamingResponse

from service.api import cursors
from service.api.dependencies import AdminCaller, ReadCaller, RuntimeDep, StrictJsonRoute, UserId
from service.api.documents import (
    ExportOut,
    InteractionPage,
    ProfilingIn,
    ProfilingOut,
    ReceiptOut,
    export_document,
    interaction_document,
)
from service.api.problems import OF_BODIES, documented
from service.errors import InvalidCursor, NotFound
from service.flows import erase
from service.flows.export import open_export
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
async def export_user(
    user_id: UserId, caller: AdminCaller, runtime: RuntimeDep
) -> StreamingResponse:
    """Everything held about the user (data portability), as of now, streamed.

    When the user is erased meanwhile, the answer breaks off: it is no whole JSON document.
    """
    export = await open_export(runtime.database, caller.project_id, user_id)
    return StreamingResponse(export_document(export), media_type="application/json")


@router.delete("", response_model=ReceiptOut, responses=documented(NotFound))
async def erase_user(user_id: UserId, caller: AdminCaller, runtime: RuntimeDep) -> dict[str, Any]:
    """Erase the user: history, profiles, corrections, jobs and cached copies."""
    receipt = await erase.erase(runtime.database, runtime.cache, caller.project_id, user_id)
    return asdict(receipt)


@router.put("/profiling", response_model=ProfilingOut, responses=documented(*OF_BODIES, NotFound))
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
