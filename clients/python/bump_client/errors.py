"""Everything that a call can end with beside its answer.

BumpError
├── ProblemError            the API answered with a problem (RFC 9457), one class a family of types
│   ├── BadRequest          400
│   ├── Unauthenticated     401 no key, or one that is not valid
│   ├── Forbidden           403 the key lacks the scope
│   ├── NotFound            404 no such user, version or model
│   ├── Conflict            409 revision not reached, profiling paused, too few interactions
│   ├── TooLarge            413
│   ├── Unprocessable       422 a field is invalid; `problem["errors"]` names it
│   ├── LimitReached        429 of the project or of the user
│   ├── Unavailable         503, also 502 and 504 of a proxy
│   └── DownstreamError     of the model that answers: failed, refused, busy, unavailable, timed out
├── ConnectionFailed        no answer, or not all of it
├── DeadlineExceeded        no answer in time
├── UnexpectedAnswer        an answer that the API does not give
├── InteractionsRejected    the API did not take some items of a batch
└── Undelivered             a buffer could not store all that was added
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx2

from bump_client.models import Interaction, ItemResult

PROBLEM_BASE = "https://bump.dev/problems/"
_REQUEST_ID = "x-request-id"


class BumpError(Exception):
    """Base of every error of this package."""


class ProblemError(BumpError):
    """The API's own words about what went wrong.

    `type` is stable: branch on it, or on the class, not on `title` and `detail`. `problem` is the
    whole document. `request_id` is None unless a proxy names the request (X-Request-Id).
    """

    def __init__(
        self,
        problem: Mapping[str, Any],
        *,
        status: int,
        request_id: str | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        self.problem = problem
        self.status = status
        self.type = str(problem["type"])
        self.title = str(problem.get("title", ""))
        self.detail = str(problem.get("detail", ""))
        self.request_id = request_id
        self.retry_after_seconds = retry_after_seconds
        super().__init__(f"{self.title}: {self.detail}")


class BadRequest(ProblemError):
    pass


class Unauthenticated(ProblemError):
    pass


class Forbidden(ProblemError):
    pass


class NotFound(ProblemError):
    pass


class Conflict(ProblemError):
    pass


class TooLarge(ProblemError):
    pass


class Unprocessable(ProblemError):
    pass


class LimitReached(ProblemError):
    pass


class Unavailable(ProblemError):
    pass


class DownstreamError(ProblemError):
    pass


class ConnectionFailed(BumpError):
    """`sent`: the request may have reached the API, which may have done what it asks for."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class DeadlineExceeded(BumpError):
    """The API may have done what was asked, or still be at it."""


class UnexpectedAnswer(BumpError):
    """Most likely the address is not that of Bump's API."""


class InteractionsRejected(BumpError):
    """`results` say of each why it was not stored."""

    def __init__(self, results: tuple[ItemResult, ...]) -> None:
        super().__init__(f"{len(results)} not taken, the first one because of {results[0].reason}")
        self.results = results


@dataclass(frozen=True, slots=True)
class Failure:
    """Interactions that were added to a buffer and are not stored, and why."""

    interactions: tuple[Interaction, ...]
    error: BaseException


class Undelivered(BumpError):
    """`failures` hold every interaction that a buffer took and nobody else was given."""

    def __init__(self, failures: tuple[Failure, ...]) -> None:
        count = sum(len(failure.interactions) for failure in failures)
        super().__init__(f"{count} interactions were not stored: {failures[0].error}")
        self.failures = failures


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole HTTP response. Names of `headers` are looked up in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


_BY_STATUS: Mapping[int, type[ProblemError]] = {
    400: BadRequest,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    422: Unprocessable,
    429: LimitReached,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}
# The one family that shares its statuses with others.
_DOWNSTREAM = {
    f"{PROBLEM_BASE}downstream-{what}"
    for what in ("failed", "refused", "busy", "unavailable", "timed-out")
}


def problem_error(reply: Reply) -> ProblemError:
    """The error of an unsuccessful reply, whoever gave it."""
    problem = _problem(reply)
    family = _BY_STATUS.get(reply.status, ProblemError)
    if problem["type"] in _DOWNSTREAM:
        family = DownstreamError
    retry_after = reply.headers.get("retry-after", "")
    return family(
        problem,
        status=reply.status,
        request_id=reply.headers.get(_REQUEST_ID),
        # Seconds only, as the API gives them: a date would trust two clocks (RFC 9110, 10.2.3).
        retry_after_seconds=int(retry_after) if retry_after.isdecimal() else None,
    )


@contextmanager
def transport_errors() -> Iterator[None]:
    """Raises ConnectionFailed and DeadlineExceeded for what goes wrong below HTTP in the block."""
    try:
        yield
    except TimeoutError as error:
        raise DeadlineExceeded("The API did not answer in time.") from error
    except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError) as error:
        message = f"The API cannot be reached: {_said(error)}. Is Bump running (`bump up`)?"
        raise ConnectionFailed(message, sent=False) from error
    except httpx2.SSEError as error:
        raise UnexpectedAnswer(f"The API's answer is no event stream: {_said(error)}") from error
    except httpx2.PoolTimeout as error:
        raise ConnectionFailed("Every connection is in use.", sent=False) from error
    except (httpx2.TimeoutException, httpx2.NetworkError, httpx2.RemoteProtocolError) as error:
        raise ConnectionFailed(f"The API's answer broke off: {_said(error)}", sent=True) from error


def _problem(reply: Reply) -> Mapping[str, Any]:
    try:
        document = json.loads(reply.body)
    except ValueError:
        document = None
    if isinstance(document, dict) and "type" in document:
        return document
    # As RFC 9457, 4.2.1 names what is no more than its status.
    return {
        "type": "about:blank",
        "title": _phrase(reply.status),
        "detail": f"Status {reply.status}, without a word of why; Bump's API says more.",
        "status": reply.status,
    }


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown status"


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
