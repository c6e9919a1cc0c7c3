"""The fault proxy itself: what each fault does to a client, and that healing ends it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from tests.faults.fault_proxy import (
    Fault,
    FaultProxy,
    Hang,
    Healthy,
    Latency,
    Limit,
    Refuse,
    Reset,
    Slicer,
    fault_proxy,
)
from tests.faults.processes import eventually

SOON = 10.0
BRIEF = 0.05
_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(slots=True)
class EchoServer:
    """Answers with what it is sent; `heard` is all of it, `open` counts its connections."""

    port: int = 0
    heard: bytearray = field(default_factory=bytearray)
    open: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while data := await reader.read(65_536):
                self.heard += data
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            self.open -= 1
            writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[EchoServer]:
    echo = EchoServer()
    async with await asyncio.start_server(echo.serve, "127.0.0.1", 0) as server:
        echo.port = server.sockets[0].getsockname()[1]
        yield echo


@pytest.fixture
async def proxy(echo: EchoServer) -> AsyncIterator[FaultProxy]:
    async with fault_proxy(echo.port) as proxy:
        yield proxy


Connect = Callable[[], Awaitable[_Streams]]


@pytest.fixture
async def connect(proxy: FaultProxy) -> AsyncIterator[Connect]:
    opened: list[asyncio.StreamWriter] = []

    async def connect() -> _Streams:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        opened.append(writer)
        return reader, writer

    yield connect
    for writer in opened:
        writer.close()


async def test_a_healthy_proxy_passes_everything_both_ways(connect: Connect) -> None:
    streams, message = await connect(), bytes(range(256)) * 4_000
    assert await _echoed(streams, message) == message


async def test_latency_holds_answers_back(
    proxy: FaultProxy, connect: Connect, echo: EchoServer
) -> None:
    streams = await connect()
    await proxy.set(Latency(0.2, jitter=0.1))
    started = asyncio.get_running_loop().time()
    assert await _echoed(streams, b"hello") == b"hello"
    assert asyncio.get_running_loop().time() - started >= 0.2


async def test_a_hang_takes_connections_and_passes_nothing_until_it_heals(
    proxy: FaultProxy, connect: Connect, echo: EchoServer
) -> None:
    await proxy.set(Hang())
    streams = await connect()
    with pytest.raises(TimeoutError):
        await _echoed(streams, b"hello", seconds=BRIEF)
    assert echo.heard == b""
    await proxy.set(Healthy())
    assert await _received(streams, 5) == b"hello"


async def test_a_client_that_goes_during_a_hang_goes_unnoticed_until_it_heals(
    proxy: FaultProxy, connect: Connect, echo: EchoServer
) -> None:
    streams = await connect()
    await _echoed(streams, b"hello")
    await proxy.set(Hang())
    streams[1].close()
    await asyncio.sleep(BRIEF)
    assert echo.open == 1
    await proxy.set(Healthy())
    await eventually(lambda: echo.open == 0, SOON)


async def test_a_reset_breaks_open_connections_and_new_ones(
    proxy: FaultProxy, connect: Connect
) -> None:
    streams = await connect()
    await _echoed(streams, b"hello")
    await proxy.set(Reset())
    with pytest.raises(ConnectionResetError):
        await _received(streams, 1)
    with pytest.raises(ConnectionResetError):
        await _echoed(await connect(), b"hello")


async def test_a_slicer_cuts_answers_into_pieces(proxy: FaultProxy, connect: Connect) -> None:
    reader, writer = await connect()
    await proxy.set(Slicer(3, pause=0.01))
    writer.write(b"0123456789")
    assert await asyncio.wait_for(reader.read(100), SOON) == b"012"
    assert await _received((reader, writer), 7) == b"3456789"


async def test_a_limit_closes_in_the_middle_of_an_answer(
    proxy: FaultProxy, connect: Connect, echo: EchoServer
) -> None:
    reader, writer = await connect()
    await proxy.set(Limit(7))
    for message in (b"hello", b"world"):
        writer.write(message)
        await eventually(lambda message=message: echo.heard.endswith(message), SOON)
    assert await asyncio.wait_for(reader.read(-1), SOON) == b"hellowo"


async def test_a_refused_client_meets_a_closed_port(
    proxy: FaultProxy, connect: Connect, echo: EchoServer
) -> None:
    reader, _ = streams = await connect()
    await _echoed(streams, b"hello")
    await proxy.set(Refuse())
    assert await asyncio.wait_for(reader.read(-1), SOON) == b""
    with pytest.raises(ConnectionRefusedError):
        await connect()


@pytest.mark.parametrize(
    "fault",
    [Latency(BRIEF), Hang(), Reset(), Slicer(1), Limit(1), Refuse()],
    ids=lambda fault: type(fault).__name__.lower(),
)
async def test_a_proxy_that_heals_takes_connections_as_before(
    proxy: FaultProxy, connect: Connect, fault: Fault
) -> None:
    await proxy.set(fault)
    await proxy.set(Healthy())
    assert await _echoed(await connect(), b"hello") == b"hello"
    assert proxy.accepted == 1


async def test_a_server_that_is_gone_ends_the_clients_connection(
    echo: EchoServer,
) -> None:
    async with await asyncio.start_server(echo.serve, "127.0.0.1", 0) as server:
        closed_port = server.sockets[0].getsockname()[1]
    async with fault_proxy(closed_port) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await asyncio.wait_for(reader.read(-1), SOON) == b""
        writer.close()


async def _echoed(streams: _Streams, message: bytes, *, seconds: float = SOON) -> bytes:
    streams[1].write(message)
    return await _received(streams, len(message), seconds=seconds)


async def _received(streams: _Streams, size: int, *, seconds: float = SOON) -> bytes:
    return await asyncio.wait_for(streams[0].readexactly(size), seconds)
