"""Bytes on a socket, for requests that no HTTP client would send, and what comes back."""

import asyncio
from dataclasses import dataclass

import orjson

READ_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Answer:
    """One response; `headers` by lower-case name."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> str:
        """The last part of the problem's type; fails for what is no problem document."""
        assert self.headers["content-type"] == "application/problem+json", self
        document = orjson.loads(self.body)
        assert document["status"] == self.status and document["title"] and document["detail"]
        kind: str = document["type"]
        assert kind.startswith("https://bump.dev/problems/")
        return kind.rpartition("/")[2]


async def exchange(port: int, *pieces: bytes, then_close: bool = False) -> list[Answer]:
    """Send the pieces, one packet each, and read every response until the server closes.

    `then_close`: say after them that nothing more will come. Without it, the last request must
    ask for the end of the connection.
    """
    async with asyncio.timeout(READ_SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.01 if len(pieces) > 1 else 0)  # so that they stay apart
            if then_close:
                writer.write_eof()
            received = await reader.read()
        except ConnectionResetError:
            received = b""  # it was refused before all of it was sent
        finally:
            writer.close()
    return _answers(received)


def request(
    method: str = "POST",
    target: bytes = b"/v1/interactions",
    *headers: bytes,
    body: bytes | None = None,
    version: bytes = b"1.1",
) -> bytes:
    """A request that closes its connection; with `body`, it says how long that is."""
    lines = [
        method.encode() + b" " + target + b" HTTP/" + version,
        b"Host: bump.test",
        b"Connection: close",
        *headers,
    ]
    if body is not None:
        lines += [b"Content-Type: application/json", b"Content-Length: %d" % len(body)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in (*chunks, b""))


def _answers(received: bytes) -> list[Answer]:
    found = []
    while received:
        head, _, received = received.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        named = (line.partition(": ") for line in lines)
        headers = {name.lower(): value for name, _, value in named}
        length = int(headers.get("content-length", 0))
        found.append(Answer(int(status.split()[1]), headers, received[:length]))
        received = received[length:]
    return found
