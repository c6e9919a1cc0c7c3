"""One soak: faults drawn at random while people write, read, revise and leave; then the checks."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from service.runtime import Runtime, open_runtime
from tests.faults.histories import (
    Ledger,
    RetryingWriter,
    new_events,
    until_worked_off,
    user_names,
)
from tests.faults.soak.checks import check_erased, check_revised, check_untouched
from tests.faults.soak.disturbances import Disturbances
from tests.faults.soak.faults import Faults
from tests.faults.soak.people import Leavers, Readers, Reviser
from tests.faults.soak.system import System, running_system
from tests.faults.soak.witness import Witness

# A project for users that only write, one for those whose profiles are revised, one for those
# that leave.
UNTOUCHED, REVISED, ERASED = "untouched", "revised", "erased"
USERS = list(user_names(24))
WRITERS = 3
READERS = 4
LEAVERS = 2
_WRITE_PAUSE_SECONDS = 0.15
_READ_PAUSE_SECONDS = 0.03
_REVISE_PAUSE_SECONDS = 0.3
_LEAVE_PAUSE_SECONDS = 1.0
_WORK_OFF_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Report:
    """What was done to the service, what it answered, and what was `wrong`."""

    faults: Counter[str]
    answers: Counter[str]
    acknowledged: int
    right_reads: int
    revisions: int
    erasures: int
    wrong: list[str]

    def __str__(self) -> str:
        lines = [
            "faults: " + ", ".join(f"{n} x {name}" for name, n in self.faults.most_common()),
            "answers: " + ", ".join(f"{n} x {name}" for name, n in self.answers.most_common()),
            f"{self.acknowledged} events acknowledged, {self.right_reads} profiles read, "
            f"{self.revisions} revised, {self.erasures} users erased",
            *(f"WRONG: {what}" for what in self.wrong),
        ]
        return "\n".join(lines)


class People:
    """Everybody who calls, each kind in a project of its own."""

    def __init__(
        self,
        system: System,
        keys: dict[str, str],
        disturbances: Disturbances,
        chance: random.Random,
    ) -> None:
        self.witness = Witness(disturbances)
        self.clients = {
            project: self.witness.client(system.api.url, key) for project, key in keys.items()
        }
        self.ledgers = {project: Ledger() for project in keys}
        self.readers = Readers(
            self.clients[UNTOUCHED], self.ledgers[UNTOUCHED], self.witness, disturbances, chance
        )
        self.reviser = Reviser(self.clients[REVISED], self.witness, chance)
        self.leavers = Leavers(self.clients[ERASED], self.ledgers[ERASED], self.witness, chance)

    async def be_busy_until(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            for project, count in ((UNTOUCHED, WRITERS), (REVISED, 1)):
                for number in range(count):
                    writer = self._writer(project, f"w{number}")
                    group.create_task(writer.write_until(stop, USERS, pause=_WRITE_PAUSE_SECONDS))
            for _ in range(READERS):
                group.create_task(self.readers.read_until(stop, USERS, pause=_READ_PAUSE_SECONDS))
            group.create_task(self.reviser.revise_until(stop, USERS, pause=_REVISE_PAUSE_SECONDS))
            for number in range(LEAVERS):
                group.create_task(
                    self.leavers.come_and_go_until(
                        stop, f"leaver-{number}", pause=_LEAVE_PAUSE_SECONDS
                    )
                )

    async def write_a_last_time(self) -> None:
        """So that a rolled back profile is rewritten too."""
        for project in (UNTOUCHED, REVISED):
            await self._writer(project, "last").send(new_events(USERS, "last", per_user=1))

    def _writer(self, project: str, name: str) -> RetryingWriter:
        return RetryingWriter(self.clients[project], self.ledgers[project], name)


async def soak(seconds: float, seed: int, logs: Path) -> Report:
    """Run for `seconds`, mend, check. Logs of processes go to `logs`.

    The seed decides what is drawn, in which order; the machine decides when each draw comes.
    """
    chance, disturbances, stop = random.Random(seed), Disturbances(), asyncio.Event()
    async with running_system(logs) as system:
        keys = {p: await system.stack.create_key(p) for p in (UNTOUCHED, REVISED, ERASED)}
        people = People(system, keys, disturbances, chance)
        async with asyncio.TaskGroup() as group:
            group.create_task(Faults(system, disturbances, chance).go_on_until(stop))
            group.create_task(people.be_busy_until(stop))
            await asyncio.sleep(seconds)
            stop.set()
        await people.write_a_last_time()
        async with _direct_runtime(system) as runtime:
            try:
                await _check(runtime, people)
            except AssertionError as error:
                people.witness.blame(f"in the end: {error}")
        return Report(
            faults=disturbances.counts(),
            answers=people.witness.answers,
            acknowledged=sum(len(ledger.acked) for ledger in people.ledgers.values()),
            right_reads=people.readers.right,
            revisions=people.reviser.done,
            erasures=len(people.leavers.erased),
            wrong=people.witness.wrong,
        )


async def _check(runtime: Runtime, people: People) -> None:
    for project in (UNTOUCHED, REVISED, ERASED):
        await until_worked_off(runtime.database, project, seconds=_WORK_OFF_SECONDS)
    clients, ledgers = people.clients, people.ledgers
    await check_untouched(runtime, clients[UNTOUCHED], UNTOUCHED, ledgers[UNTOUCHED])
    await check_revised(
        runtime, clients[REVISED], REVISED, ledgers[REVISED], people.reviser.corrections
    )
    await check_erased(runtime, ERASED, people.leavers.erased)
    for client in clients.values():
        await client.aclose()


@asynccontextmanager
async def _direct_runtime(system: System) -> AsyncIterator[Runtime]:
    runtime = await open_runtime(system.stack.settings)
    yield runtime
    await runtime.close()
