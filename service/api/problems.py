"""Errors as problem documents (RFC 9457). The only place that renders one."""

from collections.abc import Sequence
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from service.errors import (
    BumpError,
    InvalidBody,
    InvalidField,
    MethodNotAllowed,
    NotFound,
    TooLarge,
    UnsupportedMediaType,
)

MEDIA_TYPE = "application/problem+json"
# What every route with a body can answer.
OF_BODIES = (InvalidBody, TooLarge, UnsupportedMediaType)
_SHOWN_ERRORS = 20


class FieldError(BaseModel):
    field: str
    reason: str


class Problem(BaseModel):
    """An error (RFC 9457). `type` is stable: branch on it, not on the texts."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["https://bump.dev/problems/user-not-found"])
    title: str
    status: int
    detail: str
    errors: list[FieldError] | None = None


def problem_document(error: BumpError) -> dict[str, Any]:
    return {
        "type": error.type_uri,
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        **error.extensions,
    }


def problem_response(error: BumpError) -> Response:
    headers = {}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(
        orjson.dumps(problem_document(error)),
        status_code=error.status,
        media_type=MEDIA_TYPE,
        headers=headers,
    )


def documented(*errors: type[BumpError]) -> dict[int | str, dict[str, Any]]:
    """OpenAPI `responses` for a route: what it raises, and what every route can answer."""
    statuses = sorted({error.status for error in errors} | {401, 403, 422, 503})
    return {
        status: {"model": Problem, "description": "A problem.", "content": {MEDIA_TYPE: {}}}
        for status in statuses
    }


def install(app: FastAPI) -> None:
    @app.exception_handler(BumpError)
    async def on_bump_error(_: Request, error: BumpError) -> Response:
        return problem_response(error)

    @app.exception_handler(RequestValidationError)
    async def on_validation_error(_: Request, error: RequestValidationError) -> Response:
        return problem_response(_invalid(error.errors()))

    @app.exception_handler(HTTPException)
    async def on_http_error(request: Request, error: HTTPException) -> Response:
        if error.status_code == 405:
            response = problem_response(MethodNotAllowed(f"{request.method} is not allowed here."))
            response.headers.update(error.headers or {})
            return response
        if error.status_code == 404:
            return problem_response(NotFound("There is no such route; see /docs."))
        return problem_response(InvalidBody(str(error.detail)))


def _invalid(errors: Sequence[Any]) -> BumpError:
    if any(error["type"] == "json_invalid" for error in errors):
        return InvalidBody("The body is not valid JSON.")
    return InvalidField(
        *(
            (
                ".".join(str(part) for part in error["loc"][1:]) or "body",
                error["msg"].removeprefix("Value error, "),
            )
            for error in errors[:_SHOWN_ERRORS]
        )
    )
