"""A personalised answer as it comes: server-sent events (WHATWG HTML, 9.2) read as text."""

import json
from collections.abc import AsyncIterator, Iterator

import httpx2

from bump_client.errors import (
    ConnectionFailed,
    Reply,
    UnexpectedAnswer,
    problem_error,
    transport_errors,
)
from bump_client.models import AnswerEnd, Delta, ProfileUsed, TokenUsage


class _Reading:
    """What is known of an answer so far.

    `profile` is there from the first piece on; `finish_reason` and `usage` when it is over.
    """

    def __init__(self, response: httpx2.Response) -> None:
        self.profile: ProfileUsed | None = None
        self.finish_reason: str | None = None
        self.usage: TokenUsage | None = None
        self._events = httpx2.EventSource(response)
        self._done = False

    def _text_of(self, event: httpx2.ServerSentEvent) -> str:
        """The text that an event adds. Raises a ProblemError for an error, or UnexpectedAnswer."""
        try:
            return self._read(event)
        except (ValueError, LookupError, TypeError) as error:
            raise UnexpectedAnswer("An event of the answer cannot be read.") from error

    def _read(self, event: httpx2.ServerSentEvent) -> str:
        match event.event:
            case "profile":
                self.profile = ProfileUsed.model_validate_json(event.data)
            case "delta":
                return Delta.model_validate_json(event.data).text
            case "done":
                end = AnswerEnd.model_validate_json(event.data)
                self.finish_reason, self.usage, self._done = end.finish_reason, end.usage, True
            case "error":
                status = int(json.loads(event.data)["status"])
                raise problem_error(Reply(status, {}, event.data.encode()))
        return ""

    def _check_done(self) -> None:
        if not self._done:
            raise ConnectionFailed("The answer ended before it was done.", sent=True)


class AnswerStream(_Reading):
    """Iterate over it once: the pieces of the text.

    Raises a ProblemError when the model fails in the middle, ConnectionFailed when the stream
    breaks off. What came until then was the beginning of the answer.
    """

    def __iter__(self) -> Iterator[str]:
        with transport_errors():
            for event in self._events:
                if text := self._text_of(event):
                    yield text
        self._check_done()


class AsyncAnswerStream(_Reading):
    """`AnswerStream` for `async for`."""

    async def __aiter__(self) -> AsyncIterator[str]:
        with transport_errors():
            async for event in self._events:
                if text := self._text_of(event):
                    yield text
        self._check_done()
