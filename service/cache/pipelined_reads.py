"""Reads that share one connection: the commands of a loop tick go out in one write.

redis-py takes a connection out of a pool for every command and waits for its answer alone, which
costs more than all the rest of a cached read. Redis answers a connection's commands in their
order ("Redis pipelining"), so many readers can share one.
"""

import asyncio
import ssl
from collections import deque
from time import monotonic
from typing import Any, cast

import hiredis
from redis.asyncio import Connection, SSLConnection
from redis.asyncio.connection import parse_url
from redis.exceptions import ConnectionError, InvalidResponse, ResponseError, TimeoutError

Value = bytes | None


class PipelinedReads:
    """Reads from the server at `url`; it connects on first use and again after a failure.

    A read that is not answered within `timeout` seconds takes the connection down, and everything
    that waits for it: answers come in order, so the later ones would be late too.
    """

    def __init__(self, url: str, *, timeout: float) -> None:
        self._url = url
        self._timeout = timeout
        self._connection: _Connection | None = None
        self._connecting: asyncio.Task[_Connection] | None = None

    async def mget(self, *keys: str) -> list[Value]:
        """The values under `keys`. Raises RedisError when the server does not give them."""
        connection = self._connection
        if connection is None or connection.lost:
            connection = await self._connect_once()
        values: list[Value] = await connection.ask("MGET", *keys)
        return values

    def close(self) -> None:
        if self._connecting:
            self._connecting.cancel()
        if self._connection:
            self._connection.close()

    async def _connect_once(self) -> "_Connection":
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect())
        # Shielded: a reader who leaves must not take the others' connection along.
        return await asyncio.shield(self._connecting)

    async def _connect(self) -> "_Connection":
        try:
            self._connection = await self._new_connection()
            return self._connection
        finally:
            self._connecting = None

    async def _new_connection(self) -> "_Connection":
        address = parse_url(self._url)
        kind = address.pop("connection_class", Connection)
        connection = _Connection(self._timeout)
        try:
            async with asyncio.timeout(self._timeout):
                await _open(
                    connection, address, tls=_tls(address) if kind is SSLConnection else None
                )
                for command in _greeting(address):
                    await connection.ask(*command)
        except BaseException as error:
            connection.close()
            if isinstance(error, OSError):
                raise ConnectionError("Redis cannot be reached.") from error
            raise
        return connection


async def _open(connection: "_Connection", address: Any, *, tls: ssl.SSLContext | None) -> None:
    loop = asyncio.get_running_loop()
    if path := address.get("path"):
        await loop.create_unix_connection(lambda: connection, path)
        return
    host, port = address.get("host", "localhost"), address.get("port", 6379)
    await loop.create_connection(lambda: connection, host, port, ssl=tls)


def _tls(address: Any) -> ssl.SSLContext:
    # redis-py reads the many `ssl_…` options of a URL.
    context: ssl.SSLContext = SSLConnection(**address).ssl_context.get()
    return context


def _packed(command: tuple[str, ...]) -> bytes:
    # hiredis declares a tuple of one; it takes any.
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]
    return packed


def _greeting(address: Any) -> list[tuple[str, ...]]:
    commands: list[tuple[str, ...]] = []
    if password := address.get("password"):
        commands.append(("AUTH", address.get("username") or "default", password))
    if database := address.get("db"):
        commands.append(("SELECT", str(database)))
    return commands


class _Connection(asyncio.Protocol):
    """One connection; commands are answered in the order in which they were asked."""

    def __init__(self, timeout: float) -> None:
        self.lost = False
        self._loop = asyncio.get_running_loop()
        self._timeout = timeout
        self._transport: asyncio.WriteTransport | None = None
        self._replies = hiredis.Reader(replyError=ResponseError, protocolError=InvalidResponse)
        self._unsent: list[tuple[bytes, asyncio.Future[Any]]] = []
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._watch: asyncio.TimerHandle | None = None

    def ask(self, *command: str) -> asyncio.Future[Any]:
        """The future answer; it fails with RedisError when there is none."""
        answer: asyncio.Future[Any] = self._loop.create_future()
        if self.lost:  # since whoever asks has got hold of it
            answer.set_exception(ConnectionError("Redis has closed the connection."))
            return answer
        if not self._unsent:
            self._loop.call_soon(self._send)
        self._unsent.append((_packed(command), answer))
        return answer

    def close(self) -> None:
        self._fail(ConnectionError("The connection to Redis is closed."))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not by isinstance: uvloop's transports do not inherit from asyncio's.
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._replies.feed(data)
            while (reply := self._replies.gets()) is not False:
                self._deliver(reply)
        except InvalidResponse as error:
            self._fail(error)

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(ConnectionError("Redis has closed the connection."))

    def _deliver(self, reply: Any) -> None:
        if not self._waiting:  # as a server at its limit of connections does
            raise InvalidResponse("Redis answers what was not asked.")
        _, answer = self._waiting.popleft()
        if answer.done():  # whoever asked has left
            return
        if isinstance(reply, ResponseError):
            answer.set_exception(reply)
        else:
            answer.set_result(reply)

    def _send(self) -> None:
        if self.lost or not self._transport:
            return
        unsent, self._unsent = self._unsent, []
        # The time-out is Redis': what this process took to come here is not counted. Not the
        # loop's time, which uvloop takes at the beginning of a tick.
        deadline = monotonic() + self._timeout
        self._waiting.extend((deadline, answer) for _, answer in unsent)
        self._transport.write(b"".join(command for command, _ in unsent))
        if self._watch is None:
            self._watch = self._loop.call_later(self._timeout, self._check)

    def _check(self, *, overdue: bool = False) -> None:
        """Take the connection down when its oldest read is overdue, and still is a moment later.

        The moment lets answers in that had come while this process itself was held up.
        """
        self._watch = None
        if not self._waiting:
            return
        left = self._waiting[0][0] - monotonic()
        if left > 0:
            self._watch = self._loop.call_later(left, self._check)
        elif overdue:
            self._fail(TimeoutError("Redis does not answer in time."))
        else:
            self._watch = self._loop.call_later(_GRACE_SECONDS, lambda: self._check(overdue=True))

    def _fail(self, error: Exception) -> None:
        self.lost = True
        if self._watch:
            self._watch.cancel()
        if self._transport:
            self._transport.abort()
        for _, answer in (*self._waiting, *self._unsent):
            if not answer.done():
                answer.set_exception(error)
        self._waiting.clear()
        self._unsent.clear()


_GRACE_SECONDS = 0.002
