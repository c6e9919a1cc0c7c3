"""A user's profile: the hot read, its versions, and what people may do to it."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope as ASGIScope

from service.api.dependencies import (
    AdminCaller,
    ReadCaller,
    RuntimeDep,
    StrictJsonRoute,
    UserId,
)
from service.api.documents import (
    MAX_SENTENCE_CHARS,
    CorrectionsIn,
    DiffOut,
    EvidenceList,
    ProfileOut,
    RegenerationOut,
    RollbackIn,
    ScoreList,
    VersionList,
    interaction_document,
)
from service.api.headers import header
from service.api.problems import OF_BODIES, documented
from service.db.prequential import Score
from service.domain.neutral import neutralise
from service.domain.profile import (
    Corrections,
    Profile,
    profile_document,
    statement_document,
)
from service.errors import (
    InvalidField,
    NotFound,
    ProfilingPaused,
    RevisionNotReached,
    TooFewInteractions,
)
from service.flows import inspect_users, revise_profile
from service.flows.read_profile import ServedProfile

MAX_WAIT_SECONDS = 30
_MAX_REVISION = 2**62
_MAX_VERSION = 2**31 - 1

router = APIRouter(prefix="/v1/users/{user_id}", tags=["profiles"], route_class=StrictJsonRoute)
Wait = Annotated[
    float, Query(ge=0, le=MAX_WAIT_SECONDS, description="seconds to wait for `min_revision`")
]


@router.get(
    "/profile",
    response_model=ProfileOut,
    responses={304: {"description": "Not modified."}, **documented(NotFound, RevisionNotReached)},
)
async def get_profile(
    request: Request,
    user_id: UserId,
    caller: ReadCaller,
    runtime: RuntimeDep,
    min_revision: Annotated[
        int, Query(ge=0, le=_MAX_REVISION, description="a revision that ingest returned")
    ] = 0,
    wait: Wait = 0.0,
) -> Response:
    """The serving profile. `min_revision` with `wait` reads your own writes.

    Answers 304 to a matching `If-None-Match`; 409 `revision-not-reached` when `wait` is over.
    """
    # Calls without query parameters do not come here: `hot_routes` answers them.
    if min_revision or wait:
        served = await runtime.reader.read_at_least(
            caller.project_id, user_id, min_revision=min_revision, wait=wait
        )
    else:
        served = await runtime.reader.read_existing(caller.project_id, user_id)
    return conditional(request.scope, served)


@router.get(
    "/profile/versions", response_model=VersionList, responses=documented(NotFound, ProfilingPaused)
)
async def list_profile_versions(
    user_id: UserId,
    caller: ReadCaller,
    runtime: RuntimeDep,
    before: Annotated[int | None, Query(ge=1, le=_MAX_VERSION)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> dict[str, Any]:
    """What was served, newest first."""
    found = await revise_profile.list_versions(
        runtime.database, caller.project_id, user_id, before=before, limit=limit
    )
    more = len(found) == limit and found[-1].version > 1
    return {
        "versions": [_document(profile) for profile in found],
        "next_before": found[-1].version if more else None,
    }


@router.get(
    "/profile/versions/{version}",
    response_model=ProfileOut,
    responses=documented(NotFound, ProfilingPaused),
)
async def get_profile_version(
    user_id: UserId,
    version: Annotated[int, Path(ge=1, le=_MAX_VERSION)],
    caller: ReadCaller,
    runtime: RuntimeDep,
) -> dict[str, Any]:
    """One version, whether it serves or not."""
    return _document(
        await revise_profile.get_version(runtime.database, caller.project_id, user_id, version)
    )


@router.get(
    "/profile/versions/{version}/evidence",
    response_model=EvidenceList,
    responses=documented(NotFound, ProfilingPaused),
)
async def list_profile_evidence(
    user_id: UserId,
    version: Annotated[int, Path(ge=1, le=_MAX_VERSION)],
    caller: ReadCaller,
    runtime: RuntimeDep,
) -> dict[str, Any]:
    """The interactions that support the statements of one version."""
    found = await inspect_users.read_evidence(runtime.database, caller.project_id, user_id, version)
    return {"interactions": [interaction_document(interaction) for interaction in found]}


@router.get(
    "/profile/scores", response_model=ScoreList, responses=documented(NotFound, ProfilingPaused)
)
async def list_profile_scores(
    user_id: UserId, caller: ReadCaller, runtime: RuntimeDep
) -> dict[str, Any]:
    """How well what served the user predicted what they did next, window by window."""
    judge = runtime.settings.judge
    scores = await inspect_users.read_scores(
        runtime.database, caller.project_id, user_id, judge=judge
    )
    return {"judge": judge, "scores": [_score_document(score) for score in scores]}


@router.get(
    "/profile/diff", response_model=DiffOut, responses=documented(NotFound, ProfilingPaused)
)
async def diff_profile_versions(
    user_id: UserId,
    caller: ReadCaller,
    runtime: RuntimeDep,
    before: Annotated[int, Query(alias="from", ge=1, le=_MAX_VERSION)],
    after: Annotated[int, Query(alias="to", ge=1, le=_MAX_VERSION)],
) -> dict[str, Any]:
    """What changed between two versions, statement by statement, with the evidence."""
    diff = await revise_profile.compare(runtime.database, caller.project_id, user_id, before, after)
    return {
        "added": [statement_document(s) for s in diff.added],
        "removed": [statement_document(s) for s in diff.removed],
        "changed": [
            {"before": statement_document(c.before), "after": statement_document(c.after)}
            for c in diff.changed
        ],
        "unchanged": diff.unchanged,
    }


@router.get("/profile/corrections", response_model=CorrectionsIn, responses=documented(NotFound))
async def get_corrections(
    user_id: UserId, caller: AdminCaller, runtime: RuntimeDep
) -> dict[str, Any]:
    """What is pinned and suppressed: the set as it was put last."""
    found = await inspect_users.read_corrections(runtime.database, caller.project_id, user_id)
    return {"pinned": list(found.pinned), "suppressed": list(found.suppressed)}


@router.put(
    "/profile/corrections",
    response_model=ProfileOut | None,
    responses=documented(*OF_BODIES, NotFound),
)
async def put_corrections(
    user_id: UserId, body: CorrectionsIn, caller: AdminCaller, runtime: RuntimeDep
) -> dict[str, Any] | None:
    """Pin or suppress statements, at once and for ever; the set replaces the last one.

    Returns the version that serves now, null where there is no profile yet.
    """
    _check_sentences(body)
    written = await revise_profile.correct(
        runtime.database,
        runtime.cache,
        caller.project_id,
        user_id,
        Corrections(tuple(dict.fromkeys(body.pinned)), tuple(dict.fromkeys(body.suppressed))),
    )
    return _document(written) if written else None


@router.post(
    "/profile/regenerate",
    response_model=RegenerationOut,
    responses=documented(NotFound, ProfilingPaused, TooFewInteractions),
)
async def regenerate_profile(
    user_id: UserId, caller: AdminCaller, runtime: RuntimeDep, wait: Wait = 0.0
) -> dict[str, Any]:
    """Rewrite the profile now, without debounce; with `wait`, answer when it is done."""
    requested = await revise_profile.request_regeneration(
        runtime.database, caller.project_id, user_id, runtime.settings.min_interactions
    )
    serving = None
    if wait:
        serving = await revise_profile.await_regeneration(
            runtime.database, caller.project_id, user_id, requested, wait=wait
        )
    return {
        "revision": requested.revision,
        "done": serving is not None,
        "version": serving.version if serving else None,
    }


@router.post(
    "/profile/rollback",
    response_model=ProfileOut,
    responses=documented(*OF_BODIES, NotFound, ProfilingPaused),
)
async def roll_back_profile(
    user_id: UserId, body: RollbackIn, caller: AdminCaller, runtime: RuntimeDep
) -> dict[str, Any]:
    """Serve what an earlier version said, as a new version, until the history moves on."""
    written = await revise_profile.roll_back(
        runtime.database, runtime.cache, caller.project_id, user_id, body.version
    )
    return _document(written)


def conditional(request: ASGIScope, served: ServedProfile) -> Response:
    """The profile, or 304 where the caller has it already (RFC 9110, 13.1.2)."""
    headers = {"ETag": served.etag, "Cache-Control": "private, no-cache"}
    candidates = header(request, b"if-none-match") or ""
    if candidates and (served.etag in candidates or candidates.strip() == "*"):
        return Response(status_code=304, headers=headers)
    return Response(served.body, media_type="application/json", headers=headers)


def _check_sentences(body: CorrectionsIn) -> None:
    for field, texts in (("pinned", body.pinned), ("suppressed", body.suppressed)):
        for text in texts:
            if not text.strip() or len(text) > MAX_SENTENCE_CHARS or "\x00" in text:
                reason = f"every entry needs 1 to {MAX_SENTENCE_CHARS} characters, without NUL"
                raise InvalidField((field, reason))
    if not all(neutralise(text) for text in body.pinned):
        raise InvalidField(("pinned", "an entry holds nothing but markup or control characters"))


def _score_document(score: Score) -> dict[str, Any]:
    return {
        **asdict(score),
        "first_occurred_at": score.first.occurred_at,
        "last_occurred_at": score.last.occurred_at,
    }


def _document(profile: Profile) -> dict[str, Any]:
    return profile_document(profile, stale=None)
