"""The limit of a read: a bare ASGI application that does one redis-py GET and returns the bytes.

`GET /<key>` answers what Redis holds under `limit:<key>`. No routing, no authentication, no
framework; it runs under the same server as the API. `BUMP_REDIS_URL` says where Redis is.
"""

import os
from typing import Any

from redis.asyncio import Redis

_redis = Redis.from_url(os.environ["BUMP_REDIS_URL"])


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        await _acknowledge_lifespan(receive, send)
        return
    body: Any = await _redis.get("limit:" + scope["path"][1:])
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _acknowledge_lifespan(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
