"""HTTP/1.1 as uvicorn speaks it, with a bounded head; what it refuses is a problem document too."""

from typing import Any

import structlog
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.api.connections import WatchedConnection
from service.api.problems import problem_response
from service.errors import BumpError, HeadTooLarge, InvalidRequest, RequestTimedOut

MAX_HEAD_BYTES = 65_536
_UPGRADE_HEADERS = {b"connection", b"upgrade", b"http2-settings"}

log = structlog.get_logger()


class HttpProtocol(WatchedConnection):
    """One connection. Offers to upgrade it are passed over: clients on the JVM make them."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._in_head = False
        self._head_bytes = 0

    def data_received(self, data: bytes) -> None:
        # The parser collects a head without end. The read that it begins in is not counted, for
        # it may also hold earlier requests; it is bounded by the transport.
        self._head_bytes = self._head_bytes + len(data) if self._in_head else 0
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(HeadTooLarge(f"URL and headers take over {MAX_HEAD_BYTES} bytes."))
            return
        try:
            self.parser.feed_data(data)
        except HttpParserError:
            self._refuse(InvalidRequest("What was sent is not a valid HTTP/1.1 request."))
        except HttpParserUpgrade as upgrade:
            self._go_on_without_upgrade(data[upgrade.args[0] :])

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        if not self.parser.should_upgrade():
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def on_standstill(self) -> None:
        request = self.request
        if self._in_head or (request and request.more_body and not request.response_started):
            self._refuse(RequestTimedOut("Send the request again, and all of it."))
        else:
            super().on_standstill()

    def _go_on_without_upgrade(self, rest: bytes) -> None:
        """Read the request as if it had not asked (RFC 9110, 7.8).

        The parser has taken the body for another protocol's, so a new one gets the head again.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(InvalidRequest("This is no proxy."))
            return
        kept = [(name, value) for name, value in self.headers if name not in _UPGRADE_HEADERS]
        lines = [b"%s %s HTTP/1.1" % (method, self.url), *(b"%s: %s" % header for header in kept)]
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self.data_received(b"\r\n".join(lines) + b"\r\n\r\n" + rest)

    def _refuse(self, error: BumpError) -> None:
        log.info("request_refused", problem=error.slug)
        response = problem_response(error)
        headers = [*response.raw_headers, (b"connection", b"close")]
        head = b"".join(b"%s: %s\r\n" % header for header in headers)
        self.transport.write(STATUS_LINE[error.status] + head + b"\r\n" + bytes(response.body))
        self.transport.close()
