"""What waits to be regenerated, what is parked and why, and how to wake it."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, field_validator

from service.api.dependencies import AdminCaller, RuntimeDep, StrictJsonRoute
from service.api.documents import STRICT
from service.api.problems import OF_BODIES, documented
from service.db.regenerations import RegenerationRecord
from service.domain.interaction import user_id_problem
from service.flows import inspect_regenerations
from service.flows.inspect_regenerations import state_of
from service.flows.parse import USER_ID_SCHEMA

router = APIRouter(prefix="/v1/regenerations", tags=["regenerations"], route_class=StrictJsonRoute)


class JobOut(BaseModel):
    """One user's regeneration. `waiting` is for the end of a debounce or of a backoff."""

    user_id: str
    state: Literal["waiting", "due", "running", "parked"]
    priority: int = Field(description="0: somebody asked, 1: interactions, 2: in the background")
    requested_revision: int
    first_requested_at: datetime
    last_requested_at: datetime
    due_at: datetime | None = Field(description="while it runs, the end of its lease")
    attempts: int
    last_error: str | None
    parked_at: datetime | None


class JobList(BaseModel):
    """What a worker takes first stands first."""

    regenerations: list[JobOut]


class RequeueIn(BaseModel):
    """Without `user_id`, everything that is parked."""

    model_config = STRICT

    user_id: str | None = Field(default=None, json_schema_extra=USER_ID_SCHEMA)

    @field_validator("user_id")
    @classmethod
    def _names_a_user(cls, user_id: str | None) -> str | None:
        problem = user_id_problem(user_id) if user_id is not None else None
        if problem:
            raise ValueError(problem)
        return user_id


class RequeuedOut(BaseModel):
    requeued: int


@router.get("", response_model=JobList, responses=documented())
async def list_regenerations(
    caller: AdminCaller,
    runtime: RuntimeDep,
    state: Annotated[Literal["all", "parked", "waiting"], Query()] = "all",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> dict[str, Any]:
    """The project's regenerations; `waiting` are all that are not parked."""
    found = await inspect_regenerations.list_regenerations(
        runtime.database, caller.project_id, state, limit
    )
    return {"regenerations": [job_document(record) for record in found]}


@router.post("/requeue", response_model=RequeuedOut, responses=documented(*OF_BODIES))
async def requeue_regenerations(
    body: RequeueIn, caller: AdminCaller, runtime: RuntimeDep
) -> dict[str, int]:
    """Wake what is parked, of one user or of all."""
    requeued = await inspect_regenerations.requeue(
        runtime.database, caller.project_id, body.user_id
    )
    return {"requeued": requeued}


def job_document(record: RegenerationRecord) -> dict[str, Any]:
    return {**asdict(record), "state": state_of(record)}
