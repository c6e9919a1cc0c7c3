"""Connections whose clients stand still are closed.

uvicorn times a connection only between an answer and the next request. A client that connects and
says nothing, stops within a request or does not take its answer would keep its socket for ever.
"""

import asyncio
import fcntl
import sys
import termios
from contextlib import suppress
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

# A connection is looked at so often within the time-out. It is closed at the third look in a row
# that finds no progress: after three to four quarters of the time.
_LOOKS = 4
_LAST_LOOK = 3
# Less of a body between two looks is no more than a means to keep the connection.
_MIN_BODY_BYTES = 1_024


class WatchedConnection(HttpToolsProtocol):
    """One connection, closed when its client stands still for uvicorn's `timeout_keep_alive`.

    A client stands still while its request is not whole, its answer is not taken, or it asks for
    nothing. The time that an answer takes is the service's own and never cut short.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._body_bytes = 0
        self._seen: tuple[RequestResponseCycle | None, int, int] = (None, 0, 0)
        self._looks_without_progress = 0

    @property
    def request(self) -> RequestResponseCycle | None:
        """The newest request whose head is whole; uvicorn's `cycle`."""
        return self.cycle

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look_later()

    def connection_lost(self, error: Exception | None) -> None:
        self._next_look.cancel()
        super().connection_lost(error)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_response_complete(self) -> None:
        # As uvicorn does, without a timer for each request.
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def on_standstill(self) -> None:
        """Close the connection."""
        self.transport.close()

    def _look_later(self) -> None:
        self._next_look = self.loop.call_later(self.timeout_keep_alive / _LOOKS, self._look)

    def _look(self) -> None:
        moved_on = self._has_moved_on()
        if not self._is_clients_turn():
            self._looks_without_progress = -1  # The turn may change just before the next look.
        elif moved_on:
            self._looks_without_progress = 0
        else:
            self._looks_without_progress += 1
        if self._looks_without_progress >= _LAST_LOOK:
            self._end()
        self._look_later()

    def _end(self) -> None:
        if self.transport.is_closing() or self.transport.get_write_buffer_size():
            self.transport.abort()  # Closing would wait for the client to take what it does not.
        else:
            self.on_standstill()

    def _has_moved_on(self) -> bool:
        """Whether the client has asked, sent or taken anything since the last look."""
        request, body_bytes, untaken = self._seen
        self._seen = self.request, self._body_bytes, self._untaken_bytes()
        return (
            self._seen[0] is not request
            or self._seen[1] - body_bytes >= _MIN_BODY_BYTES
            or self._seen[2] != untaken
        )

    def _untaken_bytes(self) -> int:
        """How much of the answers the client has not taken, the kernel's part of it included.

        Without that part a slow client stands still for as long as it takes it to take a
        megabyte: the kernel asks for more only when a third of its buffer is free.
        """
        in_kernel = bytearray(4)
        with suppress(OSError):  # closed at this very moment
            socket = self.transport.get_extra_info("socket")
            fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, in_kernel)
        return self.transport.get_write_buffer_size() + int.from_bytes(in_kernel, sys.byteorder)

    def _is_clients_turn(self) -> bool:
        request = self.request
        if self.transport.get_write_buffer_size() or request is None or request.response_complete:
            return True
        if self.flow.read_paused or request.waiting_for_100_continue:
            return False
        return request.more_body
