"""Applications behind a real HTTP server in this process: nothing to wait for but the socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

from service.api.http_protocol import HttpProtocol
from tests.faults.processes import eventually

_START_SECONDS = 60


@asynccontextmanager
async def served(application: ASGIApp) -> AsyncIterator[str]:
    """The application's address on 127.0.0.1. Its lifespan is the caller's business."""
    server = uvicorn.Server(
        uvicorn.Config(
            application, port=0, http=HttpProtocol, ws="none", lifespan="off", log_config=None
        )
    )
    serving = asyncio.create_task(server.serve())
    await eventually(lambda: server.started, _START_SECONDS)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
