"""The faults of a soak, drawn at random: which one, when, and for how long."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

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
)
from tests.faults.soak.disturbances import Disturbances, Part
from tests.faults.soak.system import LEASE_SECONDS, WORKERS, System

LANES = 2
_PAUSE_SECONDS = (0.5, 3.0)
_DOWN_SECONDS = (0.0, 2.0)
_NETWORK_SECONDS = (0.5, 4.0)
# Less than Postgres' lock_timeout: a frozen worker may hold the row of a user.
_FREEZE_SECONDS = (0.2, 2 * LEASE_SECONDS)


@dataclass(frozen=True, slots=True)
class Kind:
    """A fault; two that are done to the same `victim` never overlap."""

    victim: asyncio.Lock = field(compare=False)
    do: Callable[[], Awaitable[None]]


class Faults:
    """Breaks and mends a system until told to stop; afterwards everything is mended."""

    def __init__(self, system: System, disturbances: Disturbances, chance: random.Random) -> None:
        self._system = system
        self._disturbances = disturbances
        self._chance = chance
        self._kinds = self._all_kinds()

    async def go_on_until(self, stop: asyncio.Event) -> None:
        """LANES faults at a time at most, with pauses in between."""
        async with asyncio.TaskGroup() as group:
            for _ in range(LANES):
                group.create_task(self._lane(stop))

    async def _lane(self, stop: asyncio.Event) -> None:
        while not await _stopped_within(stop, self._chance.uniform(*_PAUSE_SECONDS)):
            free = [kind for kind in self._kinds if not kind.victim.locked()]
            kind = self._chance.choice(free)
            async with kind.victim:
                await kind.do()

    def _all_kinds(self) -> list[Kind]:
        api, postgres, valkey, to_postgres, to_valkey = (asyncio.Lock() for _ in range(5))
        kinds = [
            Kind(api, self._kill_api),
            Kind(api, self._drain_api),
            Kind(postgres, self._kill_postgres),
            Kind(valkey, self._flush_valkey),
            Kind(valkey, self._freeze_valkey),
            Kind(valkey, self._kill_valkey),
            Kind(to_postgres, self._disturb_network_to_postgres),
            Kind(to_valkey, self._disturb_network_to_valkey),
        ]
        for number in range(WORKERS):
            worker = asyncio.Lock()
            for do in (self._kill_worker, self._freeze_worker, self._drain_worker):
                kinds.append(Kind(worker, lambda do=do, number=number: do(number)))
        return kinds

    async def _kill_api(self) -> None:
        with self._disturbances.of(Part.API, "API killed"):
            self._system.api.kill()
            await self._wait(_DOWN_SECONDS)
            await self._system.restart_api()

    async def _drain_api(self) -> None:
        with self._disturbances.of(Part.API, "API drained"):
            self._system.api.terminate()
            await self._system.api.exit_status()
            await self._system.restart_api()

    async def _kill_worker(self, number: int) -> None:
        with self._disturbances.of(Part.WORKER, "worker killed"):
            self._system.workers[number].kill()
            await self._wait(_DOWN_SECONDS)
            await self._system.restart_worker(number)

    async def _freeze_worker(self, number: int) -> None:
        with self._disturbances.of(Part.WORKER, "worker frozen"):
            self._system.workers[number].freeze()
            await self._wait(_FREEZE_SECONDS)
            self._system.workers[number].thaw()

    async def _drain_worker(self, number: int) -> None:
        with self._disturbances.of(Part.WORKER, "worker drained"):
            self._system.workers[number].terminate()
            await self._system.workers[number].exit_status()
            await self._system.restart_worker(number)

    async def _kill_postgres(self) -> None:
        with self._disturbances.of(Part.DATABASE, "Postgres killed"):
            self._system.stack.kill_postgres()
            await self._wait(_DOWN_SECONDS)
            await asyncio.to_thread(self._system.stack.start_postgres_again)

    async def _flush_valkey(self) -> None:
        with self._disturbances.of(Part.CACHE, "Valkey flushed"):
            self._system.stack.flush_valkey()

    async def _freeze_valkey(self) -> None:
        with self._disturbances.of(Part.CACHE, "Valkey frozen"):
            self._system.stack.freeze_valkey()
            await self._wait(_NETWORK_SECONDS)
            self._system.stack.thaw_valkey()

    async def _kill_valkey(self) -> None:
        with self._disturbances.of(Part.CACHE, "Valkey killed"):
            self._system.stack.kill_valkey()
            await self._wait(_DOWN_SECONDS)
            await asyncio.to_thread(self._system.stack.start_valkey_again)

    async def _disturb_network_to_postgres(self) -> None:
        await self._disturb_network(self._system.to_postgres, Part.DATABASE)

    async def _disturb_network_to_valkey(self) -> None:
        await self._disturb_network(self._system.to_valkey, Part.CACHE)

    async def _disturb_network(self, proxy: FaultProxy, part: Part) -> None:
        fault = self._network_fault()
        with self._disturbances.of(part, f"network to the {part}: {type(fault).__name__}"):
            await proxy.set(fault)
            await self._wait(_NETWORK_SECONDS)
            await proxy.set(Healthy())

    def _network_fault(self) -> Fault:
        return self._chance.choice(
            (
                Latency(self._chance.uniform(0.01, 0.2), jitter=0.1),
                Hang(),
                Reset(),
                Refuse(),
                Slicer(self._chance.randrange(10, 200), pause=0.01),
                Limit(self._chance.randrange(1, 5_000)),
            )
        )

    async def _wait(self, seconds: tuple[float, float]) -> None:
        await asyncio.sleep(self._chance.uniform(*seconds))


async def _stopped_within(stop: asyncio.Event, seconds: float) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
    return stop.is_set()
