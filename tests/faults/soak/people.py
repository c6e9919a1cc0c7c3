"""Who calls the service during a soak: readers, people who revise profiles, people who leave.

Every call that changes something is repeated until it is answered for good. What was promised then
is kept for the checks at the end.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx2

from tests.faults.histories import Ledger, RetryingWriter, new_events
from tests.faults.soak.disturbances import Disturbances, Part
from tests.faults.soak.witness import Witness

_RETRY_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Corrections:
    """What a user asked for last, as sent."""

    pinned: tuple[str, ...]
    suppressed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest profile that anybody was shown, and when."""

    revision: int
    at: float


class Readers:
    """They take no step back, and nothing old for fresh, unless the cache has been away."""

    def __init__(
        self,
        client: httpx2.AsyncClient,
        ledger: Ledger,
        witness: Witness,
        disturbances: Disturbances,
        chance: random.Random,
    ) -> None:
        self.right = 0
        self._client = client
        self._ledger = ledger
        self._witness = witness
        self._disturbances = disturbances
        self._chance = chance
        self._seen: dict[str, Seen] = {}

    async def read_until(self, stop: asyncio.Event, users: Sequence[str], *, pause: float) -> None:
        while not stop.is_set():
            await self._read(self._chance.choice(users))
            await asyncio.sleep(pause)

    async def _read(self, user_id: str) -> None:
        began, acked = time.monotonic(), self._ledger.batches[user_id]
        seen = self._seen.get(user_id)
        try:
            response = await self._client.get(f"/v1/users/{user_id}/profile")
        except httpx2.TransportError:
            return
        if response.status_code == 404 and seen:
            self._witness.blame(f"{user_id} has no profile any more")
        if response.status_code == 200:
            profile = response.json()
            self._judge(user_id, profile["revision"], profile["stale"], seen, acked, began)

    def _judge(
        self, user_id: str, revision: int, stale: bool, seen: Seen | None, acked: int, began: float
    ) -> None:
        if not self._disturbances.felt(Part.CACHE, min(began, seen.at if seen else began)):
            if seen and revision < seen.revision:
                self._witness.blame(f"{user_id} went back from {seen.revision} to {revision}")
            if not stale and revision < acked:
                self._witness.blame(f"{user_id} has {revision} for fresh, {acked} is acknowledged")
        self.right += 1
        newest = self._seen.get(user_id)
        if newest is None or revision >= newest.revision:
            self._seen[user_id] = Seen(revision, time.monotonic())


class Reviser:
    """Pauses, corrects and rolls back the profiles of users of its own."""

    def __init__(self, client: httpx2.AsyncClient, witness: Witness, chance: random.Random) -> None:
        self.corrections: dict[str, Corrections] = {}
        self.done = 0
        self._client = client
        self._witness = witness
        self._chance = chance

    async def revise_until(
        self, stop: asyncio.Event, users: Sequence[str], *, pause: float
    ) -> None:
        while not stop.is_set():
            revise = self._chance.choice((self._pause, self._correct, self._roll_back))
            await revise(self._chance.choice(users))
            self.done += 1
            await asyncio.sleep(pause)

    async def _pause(self, user_id: str) -> None:
        path = f"/v1/users/{user_id}/profiling"
        paused = await insist(self._client, "PUT", path, {"profiling": "paused"})
        if paused.status_code != 200:
            return
        for _ in range(5):
            response = await insist(self._client, "GET", f"/v1/users/{user_id}/profile")
            if response.status_code == 200:
                self._witness.blame(f"{user_id} is paused and has a profile")
        await insist(self._client, "PUT", path, {"profiling": "on"})

    async def _correct(self, user_id: str) -> None:
        profile = await insist(self._client, "GET", f"/v1/users/{user_id}/profile")
        if profile.status_code != 200:
            return
        said = [s["id"] for s in profile.json()["statements"] if s["kind"] != "pinned"]
        corrections = Corrections(
            pinned=(f"Wants answers of {self._chance.randrange(2, 100)} lines at most.",),
            suppressed=tuple(self._chance.sample(said, k=min(1, len(said)))),
        )
        document = {
            "pinned": list(corrections.pinned),
            "suppressed": list(corrections.suppressed),
        }
        path = f"/v1/users/{user_id}/profile/corrections"
        if (await insist(self._client, "PUT", path, document)).status_code == 200:
            self.corrections[user_id] = corrections

    async def _roll_back(self, user_id: str) -> None:
        path = f"/v1/users/{user_id}/profile"
        found = await insist(self._client, "GET", f"{path}/versions")
        if found.status_code != 200:
            return
        earlier = [v["version"] for v in found.json()["versions"] if v["status"] == "superseded"]
        if earlier:
            version = self._chance.choice(earlier)
            await insist(self._client, "POST", f"{path}/rollback", {"version": version})


class Leavers:
    """They come, do this and that, and are erased. Nobody of them ever returns."""

    def __init__(
        self, client: httpx2.AsyncClient, ledger: Ledger, witness: Witness, chance: random.Random
    ) -> None:
        self.erased: list[str] = []
        self._client = client
        self._ledger = ledger
        self._witness = witness
        self._chance = chance

    async def come_and_go_until(self, stop: asyncio.Event, name: str, *, pause: float) -> None:
        number = 0
        while not stop.is_set():
            await self._live(f"{name}-{number}", pause)
            await self._look_at(self._chance.choice(self.erased))
            number += 1

    async def _live(self, user_id: str, pause: float) -> None:
        writer = RetryingWriter(self._client, self._ledger, user_id)
        for batch in range(self._chance.randrange(1, 4)):
            await writer.send(new_events([user_id], f"{user_id}-{batch}", per_user=5))
            await insist(self._client, "GET", f"/v1/users/{user_id}/profile")
            await asyncio.sleep(self._chance.uniform(0, 2 * pause))
        # A call that was repeated may find what it did the first time.
        erased = await insist(self._client, "DELETE", f"/v1/users/{user_id}")
        if erased.status_code not in (200, 404):
            self._witness.blame(f"the erasure of {user_id} got {erased.status_code}")
        self.erased.append(user_id)
        await self._look_at(user_id)

    async def _look_at(self, user_id: str) -> None:
        response = await insist(self._client, "GET", f"/v1/users/{user_id}/profile")
        if response.status_code != 404:
            self._witness.blame(f"{user_id} is erased and gets {response.status_code}")


async def insist(
    client: httpx2.AsyncClient, method: str, path: str, document: Any = None
) -> httpx2.Response:
    """Call until the answer is neither a broken connection nor a 503."""
    while True:
        try:
            response = await client.request(method, path, json=document)
        except httpx2.TransportError:
            pass
        else:
            if response.status_code != 503:
                return response
        await asyncio.sleep(_RETRY_SECONDS)
