"""`Bump`: the API for programs that wait for their answers."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from time import sleep
from types import TracebackType
from typing import Self, TypeVar, Unpack

import httpx2

from bump_client import calls
from bump_client.answer_stream import AnswerStream
from bump_client.attempts import Attempts
from bump_client.batches import Batch, batches
from bump_client.buffer import Buffer
from bump_client.calls import Call, Request
from bump_client.errors import BumpError, Failure, Reply, problem_error, transport_errors
from bump_client.http_options import (
    DEADLINE_SECONDS,
    DEFAULT_ADDRESS,
    client_options,
    send_options,
)
from bump_client.models import (
    Answer,
    AnswerOptions,
    Diff,
    IngestResult,
    Interaction,
    Message,
    Profile,
    Prompt,
    PromptOptions,
    Receipt,
    Regeneration,
    StoredInteraction,
    Usage,
    merged,
)
from bump_client.pending import CAPACITY, FLUSH_ITEMS, FLUSH_SECONDS, Pending

Result = TypeVar("Result")


class Bump:
    """A project of Bump's, by its API key; on loopback `bump up` needs none.

    `deadline`: the seconds that a call may take with all its attempts, beyond what the API itself
    is asked to wait, or the model takes; looked at whenever a piece of the answer comes. It bounds
    each silence of a stream. Threads may share a client.

    Every method raises a ProblemError, ConnectionFailed, DeadlineExceeded or UnexpectedAnswer.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_ADDRESS,
        api_key: str | None = None,
        *,
        deadline: float = DEADLINE_SECONDS,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._http = httpx2.Client(**client_options(base_url, api_key), transport=transport)
        self._deadline = deadline

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def add_interactions(self, interactions: Iterable[Interaction]) -> IngestResult:
        """Store what users did, in as many requests as it takes.

        After an error a part may be stored. To send the same objects again is safe: what is
        stored is a duplicate.
        """
        return merged([self._add(batch) for batch in batches(interactions)])

    def buffer(
        self,
        *,
        flush_items: int = FLUSH_ITEMS,
        flush_seconds: float = FLUSH_SECONDS,
        capacity: int = CAPACITY,
        on_failure: Callable[[Failure], None] | None = None,
    ) -> Buffer:
        """Sends what is added from a thread of its own; see `Buffer`."""
        return Buffer(self._add, Pending(flush_items, flush_seconds, capacity, on_failure))

    def profile(
        self,
        user_id: str,
        *,
        min_revision: int = 0,
        wait: float = 0,
        known: Profile | None = None,
    ) -> Profile | None:
        """The serving profile; None while the history is too short for one.

        `min_revision`, with `wait` in seconds, reads your own writes. `known` is what an earlier
        read gave: it is returned, and nothing is transferred, while it is current (If-None-Match).
        Raises NotFound for a user who is unknown, Conflict where profiling is paused, or the
        revision is not reached.
        """
        return self._call(calls.profile(user_id, min_revision, wait, known))

    def versions(self, user_id: str) -> Iterator[Profile]:
        """What was served, newest first, read as you go. Raises NotFound or Conflict."""
        before = None
        while True:
            page = self._call(calls.versions(user_id, before))
            yield from page.versions
            before = page.next_before
            if before is None:
                return

    def version(self, user_id: str, number: int) -> Profile:
        """One version, whether it serves or not. Raises NotFound or Conflict."""
        return self._call(calls.version(user_id, number))

    def diff(self, user_id: str, before: int, after: int) -> Diff:
        """What changed from version `before` to version `after`. Raises NotFound or Conflict."""
        return self._call(calls.diff(user_id, before, after))

    def corrections(
        self, user_id: str, *, pinned: Sequence[str] = (), suppressed: Sequence[str] = ()
    ) -> Profile | None:
        """Pin sentences, suppress sentences or statement ids; this set replaces the last one.

        Returns the version that serves now, None where there is none. Raises NotFound.
        """
        return self._call(calls.corrections(user_id, pinned, suppressed))

    def regenerate(self, user_id: str, *, wait: float = 0) -> Regeneration:
        """Rewrite the profile now; wait up to `wait` seconds. Raises NotFound or Conflict."""
        return self._call(calls.regenerate(user_id, wait))

    def rollback(self, user_id: str, number: int) -> Profile:
        """Serve again what version `number` said, as a new version, until the history moves on.

        Raises NotFound or Conflict.
        """
        return self._call(calls.rollback(user_id, number))

    def interactions(self, user_id: str) -> Iterator[StoredInteraction]:
        """The history, newest first, read as you go. Raises NotFound."""
        cursor = None
        while True:
            page = self._call(calls.interactions(user_id, cursor))
            yield from page.interactions
            cursor = page.next_cursor
            if cursor is None:
                return

    def personalize(
        self, user_id: str, asked: str | Sequence[Message], **options: Unpack[AnswerOptions]
    ) -> Answer:
        """The model's answer to a text or to messages (`role`, `content`), as suits the user.

        An unknown user gets a plain answer. Raises DownstreamError, LimitReached or Unavailable.
        """
        return self._call(calls.personalize(user_id, asked, options))

    @contextmanager
    def personalize_stream(
        self, user_id: str, asked: str | Sequence[Message], **options: Unpack[AnswerOptions]
    ) -> Iterator[AnswerStream]:
        """The same, piece by piece; who leaves the block ends the answer."""
        with self._stream(calls.personalize_stream(user_id, asked, options)) as response:
            yield AnswerStream(response)

    def personalize_prompt(
        self, user_id: str, asked: str | Sequence[Message], **options: Unpack[PromptOptions]
    ) -> Prompt:
        """The messages for a model of your own. Works without a downstream model."""
        return self._call(calls.personalize_prompt(user_id, asked, options))

    @contextmanager
    def export(self, user_id: str) -> Iterator[Iterator[bytes]]:
        """Everything held about a user, one JSON document in pieces. Raises NotFound.

        The pieces end with ConnectionFailed when the user is erased meanwhile.
        """
        with self._stream(calls.export(user_id)) as response:
            yield _pieces(response)

    def pause(self, user_id: str) -> None:
        """Stop profiling the user, who objects: no profile is written or served. Raises NotFound.

        Interactions are stored all the same.
        """
        self._call(calls.profiling(user_id, "paused"))

    def resume(self, user_id: str) -> None:
        """Profile the user again. Raises NotFound."""
        self._call(calls.profiling(user_id, "on"))

    def erase(self, user_id: str) -> Receipt:
        """Erase the user, with a receipt. Raises NotFound.

        If the answer to an attempt is lost, the next one finds nobody: after a NotFound the user
        is gone all the same, and only the service has the receipt.
        """
        return self._call(calls.erase(user_id))

    def usage(self, user_id: str | None = None) -> Usage:
        """Requests and tokens that the project, and `user_id` if it is given, have used."""
        return self._call(calls.usage(user_id))

    def _add(self, batch: Batch) -> IngestResult:
        return self._call(calls.add_batch(batch))

    def _call(self, call: Call[Result]) -> Result:
        return self._retried(
            call.request, lambda attempts: call.result(self._whole(call.request, attempts))
        )

    @contextmanager
    def _stream(self, request: Request) -> Iterator[httpx2.Response]:
        response = self._retried(request, lambda attempts: self._begun(request, attempts))
        with closing(response):
            yield response

    def _retried(self, request: Request, attempt: Callable[[Attempts], Result]) -> Result:
        attempts = Attempts(request, self._deadline)
        while True:
            try:
                return attempt(attempts)
            except BumpError as error:
                sleep(attempts.pause_after(error))

    def _whole(self, request: Request, attempts: Attempts) -> Reply:
        with transport_errors(), self._http.stream(**send_options(request, attempts)) as response:
            body = b"".join(attempts.in_time(response.iter_bytes()))
            return Reply(response.status_code, response.headers, body)

    def _begun(self, request: Request, attempts: Attempts) -> httpx2.Response:
        """A response that says success, and whose body is yet to be read."""
        with transport_errors():
            sent = self._http.build_request(**send_options(request, attempts))
            response = self._http.send(sent, stream=True)
            if response.is_success:
                return response
            with closing(response):
                body = response.read()
        raise problem_error(Reply(response.status_code, response.headers, body))


def _pieces(response: httpx2.Response) -> Iterator[bytes]:
    with transport_errors():
        yield from response.iter_bytes()
