"""A TCP proxy that fails on demand, between a client and a real server on this machine.

    async with fault_proxy(server_port) as proxy:
        ...                                         # connect to proxy.port
        await proxy.set(Latency(0.2, jitter=0.1))   # every connection, from now on
        await proxy.set(Healthy())

`Latency`, `Slicer` and `Limit` befall answers alone: requests arrive, and the client cannot know
what became of them. Times are seconds, sizes bytes.
"""

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

HOST = "127.0.0.1"
_CHUNK = 65_536
# Linger on, for no time at all: closing sends RST instead of FIN.
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Healthy:
    """Everything passes at once."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Every chunk of an answer waits for `seconds`, and up to `jitter` more."""

    seconds: float
    jitter: float = 0.0


@dataclass(frozen=True, slots=True)
class Hang:
    """Connections are taken, and nothing passes, not even that a side has gone.

    What was held back passes once the proxy is set to something else.
    """


@dataclass(frozen=True, slots=True)
class Reset:
    """Connections are reset (RST), new ones as soon as they are made."""


@dataclass(frozen=True, slots=True)
class Slicer:
    """Answers come in pieces of `size`, with a `pause` after each: a bandwidth, if you like."""

    size: int
    pause: float = 0.0


@dataclass(frozen=True, slots=True)
class Limit:
    """A connection is closed once `size` bytes of answers have passed, in the middle of one."""

    size: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """As if the server were stopped: connections are closed, new ones refused."""


Fault = Healthy | Latency | Hang | Reset | Slicer | Limit | Refuse


class FaultProxy:
    """Listens on `port` of 127.0.0.1; `accepted` counts the connections so far."""

    def __init__(self, target_port: int) -> None:
        self.fault: Fault = Healthy()
        self.accepted = 0
        self._target_port = target_port
        self._links: dict[asyncio.Task[None], _Link] = {}
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        # Bound and never listening: nobody else gets the port while connections are refused.
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind((HOST, 0))
        self.port: int = self._reserved.getsockname()[1]

    async def set(self, fault: Fault) -> None:
        """Switch every connection, open or to come, to `fault`."""
        self.fault = fault
        for link in self._links.values():
            link.answered = 0
            if isinstance(fault, Reset):
                link.reset()
            elif isinstance(fault, Refuse):
                link.close()
        if isinstance(fault, Refuse):
            self._stop_listening()
        else:
            await self._listen()
        self._changed.set()
        self._changed = asyncio.Event()

    async def passable(self) -> Fault:
        """The fault, as soon as it is not a hang."""
        while isinstance(self.fault, Hang):
            await self._changed.wait()
        return self.fault

    async def close(self) -> None:
        self._stop_listening()
        self._reserved.close()
        tasks = list(self._links)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, HOST, self.port)

    def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        link = _Link(self, reader, writer)
        if isinstance(self.fault, Reset):
            link.reset()
            return
        task = asyncio.create_task(link.run(self._target_port))
        self._links[task] = link
        task.add_done_callback(self._links.pop)


class _Link:
    """One client's connection and the server's that belongs to it."""

    def __init__(
        self, proxy: FaultProxy, requests: asyncio.StreamReader, client: asyncio.StreamWriter
    ) -> None:
        self.answered = 0
        self._proxy = proxy
        self._requests = requests
        self._client = client
        self._server: asyncio.StreamWriter | None = None

    async def run(self, target_port: int) -> None:
        """Carry bytes both ways until one side has gone."""
        try:
            answers, self._server = await asyncio.open_connection(HOST, target_port)
            ways = [
                asyncio.ensure_future(self._carry_requests(self._server)),
                asyncio.ensure_future(self._carry_answers(answers)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except OSError:
            pass  # The server takes no connection, so the client's ends too.
        finally:
            self.close()

    def close(self) -> None:
        for writer in self._writers():
            writer.close()

    def reset(self) -> None:
        for writer in self._writers():
            with suppress(OSError):  # The other side was quicker.
                connection = writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()

    async def _carry_requests(self, server: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await self._requests.read(_CHUNK):
                await self._proxy.passable()
                await _send(server, data)
        await self._proxy.passable()

    async def _carry_answers(self, answers: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while data := await answers.read(_CHUNK):
                await self._answer(data, await self._proxy.passable())
        await self._proxy.passable()

    async def _answer(self, data: bytes, fault: Fault) -> None:
        match fault:
            case Latency(seconds, jitter):
                await asyncio.sleep(seconds + random.uniform(0, jitter))
                await _send(self._client, data)
            case Slicer(size, pause):
                for start in range(0, len(data), size):
                    await _send(self._client, data[start : start + size])
                    await asyncio.sleep(pause)
            case Limit(size):
                await _send(self._client, data[: size - self.answered])
                self.answered += len(data)
                if self.answered >= size:
                    self.close()
            case _:
                await _send(self._client, data)

    def _writers(self) -> list[asyncio.StreamWriter]:
        return [writer for writer in (self._client, self._server) if writer]


@asynccontextmanager
async def fault_proxy(target_port: int) -> AsyncIterator[FaultProxy]:
    """A healthy proxy to `target_port` of 127.0.0.1, for the length of the block."""
    proxy = FaultProxy(target_port)
    try:
        await proxy.set(Healthy())
        yield proxy
    finally:
        await proxy.close()


@asynccontextmanager
async def proxy_before(url: str) -> AsyncIterator[tuple[FaultProxy, str]]:
    """A healthy proxy before the server at `url`, and the URL by way of it."""
    parts = urlsplit(url)
    assert parts.port is not None
    async with fault_proxy(parts.port) as proxy:
        netloc = parts.netloc.removesuffix(str(parts.port)) + str(proxy.port)
        yield proxy, urlunsplit(parts._replace(netloc=netloc))


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()
