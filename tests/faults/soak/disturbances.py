"""What was broken when: every answer is judged by what the service had to bear at the time."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

REVISION_TTL_SECONDS = 3


class Part(StrEnum):
    API = "api"
    DATABASE = "database"
    CACHE = "cache"
    WORKER = "worker"


# How long callers may notice after all is well again. A cache that was away may hold a revision
# that is too old for as long as revisions live.
_SETTLING_SECONDS = {
    Part.API: 1.0,
    Part.DATABASE: 5.0,
    Part.CACHE: REVISION_TTL_SECONDS + 1.0,
    Part.WORKER: 0.0,
}


@dataclass(slots=True)
class Disturbance:
    """Times are of the monotonic clock; `ended` is None while it lasts."""

    name: str
    part: Part
    began: float
    ended: float | None = None


class Disturbances:
    """All of a soak, in the order in which they began."""

    def __init__(self) -> None:
        self._all: list[Disturbance] = []

    @contextmanager
    def of(self, part: Part, name: str) -> Iterator[None]:
        """`part` is broken for the length of the block."""
        disturbance = Disturbance(name, part, time.monotonic())
        self._all.append(disturbance)
        try:
            yield
        finally:
            disturbance.ended = time.monotonic()

    def felt(self, part: Part, since: float) -> bool:
        """Whether `part` was broken, or not yet settled, at some time from `since` until now."""
        return any(
            one.part is part and (one.ended is None or one.ended + _SETTLING_SECONDS[part] >= since)
            for one in reversed(self._all)
        )

    def counts(self) -> Counter[str]:
        return Counter(one.name for one in self._all)

    def recent(self, seconds: float) -> list[str]:
        """Those of the last `seconds`, with how long ago they began and ended."""
        now = time.monotonic()
        return [
            f"{one.name} {one.began - now:+.1f}…{(one.ended or now) - now:+.1f} s"
            for one in self._all
            if one.ended is None or now - one.ended <= seconds
        ]
