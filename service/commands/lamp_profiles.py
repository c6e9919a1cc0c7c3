"""The profiles of a run of `bump lamp`, written once for a history and kept in its folder."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

from service.commands.lamp_plan import Plan, Request, written_by
from service.commands.lamp_reading import Data
from service.commands.lamp_sources import open_source
from service.commands.progress import counted
from service.config import Settings
from service.evaluation.lamp.journal import Journal
from service.evaluation.lamp.methods import STRANGER, UNTRAINED
from service.evaluation.lamp.profiles import Written, of_strangers, write_profiles
from service.evaluation.lamp.tasks import Sample

# What a profile depends on is in its key: a folder serves any number of runs.
_FILE = "profiles.jsonl"

ByUser = dict[str, Written]


class Profiles:
    """Those who write are closed with the `stack`; `writers` says what each of them was."""

    def __init__(
        self, settings: Settings, request: Request, data: Data, stack: AsyncExitStack
    ) -> None:
        self._settings, self._request, self._data, self._stack = settings, request, data, stack
        self._journal = Journal(request.output / _FILE)
        self.writers: dict[str, str] = {}

    async def of(self, plan: Plan) -> dict[str, ByUser]:
        """By source: all that the methods of the `plan` show. Raises NoProfiles."""
        written = {name: await self.by(name) for name in written_by(plan)}
        if STRANGER in plan.sources:
            written[STRANGER] = of_strangers(written[UNTRAINED], seed=self._request.seed)
        return written

    async def by(self, name: str, samples: Sequence[Sample] | None = None) -> ByUser:
        """Of `samples`, else of all. Raises NoProfiles."""
        source = open_source(
            name, self._data, self._settings, seed=self._request.seed, stack=self._stack
        )
        self.writers[name] = source.identity
        samples = samples or self._data.samples
        with counted(f"Profiles: {name}", len(samples)) as advance:
            return await write_profiles(
                source, samples, self._journal, at_once=self._request.at_once, advance=advance
            )
