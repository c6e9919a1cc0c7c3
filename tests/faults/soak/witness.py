"""Watches every call of a soak's clients, and notes what no disturbance excuses."""

import time
from collections import Counter

import httpx2

from tests.faults.soak.disturbances import Disturbances, Part

_TIMEOUT_SECONDS = 25
_RECENT_SECONDS = 10


class Witness:
    """`answers` counts statuses and broken connections; `wrong` says what should not have been."""

    def __init__(self, disturbances: Disturbances) -> None:
        self.answers: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._disturbances = disturbances

    def client(self, url: str, key: str) -> httpx2.AsyncClient:
        """A client that is watched."""
        return httpx2.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=_TIMEOUT_SECONDS,
            transport=_WatchedTransport(self),
        )

    def blame(self, what: str) -> None:
        recent = "; ".join(self._disturbances.recent(_RECENT_SECONDS))
        self.wrong.append(f"{what} [{recent}]")

    def note_answer(self, request: httpx2.Request, response: httpx2.Response, began: float) -> None:
        self.answers[str(response.status_code)] += 1
        if response.status_code >= 500 and not self._excused(request, response.status_code, began):
            self.blame(f"{request.method} {request.url.path} got {response.status_code}")
        if response.status_code == 503 and not response.headers.get("retry-after"):
            self.blame(f"{request.method} {request.url.path} got a 503 without Retry-After")

    def note_break(self, request: httpx2.Request, error: Exception, began: float) -> None:
        self.answers[type(error).__name__] += 1
        if not self._disturbances.felt(Part.API, began):
            self.blame(f"{request.method} {request.url.path} broke: {error!r}")

    def _excused(self, request: httpx2.Request, status: int, began: float) -> bool:
        parts = {Part.API, Part.DATABASE}
        # Refused rather than half done while the cache may keep a copy.
        if request.method == "DELETE" or request.url.path.endswith("/profiling"):
            parts.add(Part.CACHE)
        return status == 503 and any(self._disturbances.felt(part, began) for part in parts)


class _WatchedTransport(httpx2.AsyncBaseTransport):
    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self._transport = httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        began = time.monotonic()
        try:
            response = await self._transport.handle_async_request(request)
        except httpx2.TransportError as error:
            self._witness.note_break(request, error, began)
            raise
        self._witness.note_answer(request, response, began)
        return response

    async def aclose(self) -> None:
        await self._transport.aclose()
