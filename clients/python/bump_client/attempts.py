"""When a call that failed is tried again, and until when: the same for every way of sending it."""

from collections.abc import Iterable, Iterator
from random import uniform
from time import monotonic

from bump_client.calls import Request
from bump_client.errors import BumpError, ConnectionFailed, DeadlineExceeded, ProblemError

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_REFUSED_FOR_NOW = {429, 503}
_LOST_ON_THE_WAY = {502, 503, 504}


class Attempts:
    """The attempts at one request, within `seconds` and what the request itself takes.

    Pauses are drawn from 0 to a bound that doubles (full jitter: Brooker, "Exponential Backoff and
    Jitter", AWS, 2015), so that clients that failed together do not come back together.
    """

    def __init__(self, request: Request, seconds: float) -> None:
        self._repeatable = request.repeatable
        self._seconds = seconds + request.server_seconds
        self._ends_at = monotonic() + self._seconds
        self._longest_pause = _FIRST_PAUSE_SECONDS

    @property
    def seconds_left(self) -> float:
        return max(0.0, self._ends_at - monotonic())

    def pause_after(self, error: BumpError) -> float:
        """Seconds until the next attempt. Raises `error`, or DeadlineExceeded, if there is none."""
        if isinstance(error, ConnectionFailed) and error.sent and not self.seconds_left:
            raise self._exceeded() from error
        pause = self._pause(error)
        # What would begin too late is not waited for.
        if pause is None or pause >= self.seconds_left:
            raise error
        return pause

    def in_time(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The pieces of a body. Raises DeadlineExceeded at the first one that comes too late."""
        for piece in pieces:
            if not self.seconds_left:
                raise self._exceeded()
            yield piece

    def _pause(self, error: BumpError) -> float | None:
        if isinstance(error, ConnectionFailed):
            return self._jitter() if self._repeatable or not error.sent else None
        if not isinstance(error, ProblemError):
            return None
        # Without a Retry-After the refusal is for good, as long as no model is configured, say.
        if error.status in _REFUSED_FOR_NOW and error.retry_after_seconds is not None:
            return error.retry_after_seconds + self._jitter()
        return self._jitter() if self._repeatable and error.status in _LOST_ON_THE_WAY else None

    def _jitter(self) -> float:
        pause = uniform(0, self._longest_pause)
        self._longest_pause = min(_LONGEST_PAUSE_SECONDS, 2 * self._longest_pause)
        return pause

    def _exceeded(self) -> DeadlineExceeded:
        return DeadlineExceeded(f"The API did not answer within {self._seconds:g} seconds.")
