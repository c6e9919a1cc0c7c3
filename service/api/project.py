"""The project behind a key: what it is, what comes in, how fresh and how good its profiles are."""

from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from service.api.dependencies import AdminCaller, RuntimeDep
from service.api.problems import documented
from service.cache.arrivals import SPAN_SECONDS
from service.db.projects import Scope
from service.flows.inspect_regenerations import read_freshness
from service.flows.read_quality import read_quality
from service.runtime import generator_name

router = APIRouter(prefix="/v1/project", tags=["project"])


class ProjectOut(BaseModel):
    """`caller`: the key, as evidence names it. `generator` writes where none was promoted."""

    project_id: str
    caller: str
    scopes: list[Scope]
    generator: str
    judge: str
    min_interactions: int = Field(description="before a user's first profile")


class ArrivalsOut(BaseModel):
    begins_at: datetime
    count: int


class FreshnessOut(BaseModel):
    """Regenerations of the project, and how long the oldest unread interaction has waited."""

    waiting: int
    running: int
    parked: int
    oldest_seconds: float = Field(description="without what is parked or in the background")


class ActivityOut(BaseModel):
    """`arrivals`: interactions accepted over HTTP, oldest first; null while Redis is away."""

    span_seconds: int = Field(description="of each entry of `arrivals`")
    arrivals: list[ArrivalsOut] | None
    freshness: FreshnessOut


class GeneratorQualityOut(BaseModel):
    generator: str
    status: Literal["serving", "shadow"]
    users: int
    windows: int
    forward: float
    backward: float
    chance: float
    score: float = Field(description="forward + backward - length penalty - chance")


class UserQualityOut(BaseModel):
    user_id: str
    windows: int
    score: float


class DayQualityOut(BaseModel):
    day: date
    generator: str
    windows: int
    score: float


class QualityOut(BaseModel):
    """Prequential scores of the last days: by generator, the worst users, and day by day (UTC)."""

    judge: str
    generators: list[GeneratorQualityOut]
    worst_users: list[UserQualityOut]
    days: list[DayQualityOut]


@router.get("", response_model=ProjectOut, responses=documented())
async def get_project(caller: AdminCaller, runtime: RuntimeDep) -> dict[str, Any]:
    """Which project the key belongs to, what it may do, and who writes by default."""
    return {
        "project_id": caller.project_id,
        "caller": caller.name,
        "scopes": sorted(caller.scopes),
        "generator": generator_name(runtime.settings),
        "judge": runtime.settings.judge,
        "min_interactions": runtime.settings.min_interactions,
    }


@router.get("/activity", response_model=ActivityOut, responses=documented())
async def get_activity(caller: AdminCaller, runtime: RuntimeDep) -> dict[str, Any]:
    """What came in during the last minutes, and how far the profiles are behind."""
    arrivals = await runtime.arrivals.read(caller.project_id)
    freshness = await read_freshness(runtime.database, caller.project_id)
    return {
        "span_seconds": SPAN_SECONDS,
        "arrivals": arrivals
        and [
            {"begins_at": datetime.fromtimestamp(span.begins_at, UTC), "count": span.count}
            for span in arrivals
        ],
        "freshness": asdict(freshness),
    }


@router.get("/quality", response_model=QualityOut, responses=documented())
async def get_quality(
    caller: AdminCaller,
    runtime: RuntimeDep,
    days: Annotated[int, Query(ge=1, le=365)] = 30,
    worst: Annotated[int, Query(ge=0, le=100, description="how many users")] = 10,
) -> dict[str, Any]:
    """How well the project's profiles predicted what its users did next."""
    found = await read_quality(
        runtime.database, caller.project_id, judge=runtime.settings.judge, days=days, worst=worst
    )
    return found.document()
