"""Every entrant under every judge, over one batch."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from service.bump.batch import Example
from service.bump.judge import Judge, JudgeFailed
from service.bump.setting import Setting
from service.evaluation.bidirectional import UserResult, score_profiles
from service.evaluation.entrants import Entrant
from service.evaluation.preparation import Batch
from service.evaluation.resuming import Kept, batch_digest, part_digest

Advance = Callable[[int], None]
# Of an endpoint that batches; what computes here takes turns anyway.
_WRITTEN_AT_ONCE = 16


class NoProfiles(Exception):
    """A generator wrote nothing for any user."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one generator under one judge, user by user.

    `without_profile`: users of whom the generator wrote none; an empty one was scored instead.
    """

    generator: str
    judge: str
    results: tuple[UserResult, ...]
    without_profile: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How to ask about `batch`. `kept` holds what an earlier run has finished.

    `judged_by`: what the judges' answers depend on besides their names, such as a model. `advance`
    is told of users done: each counts once for its profile and once for each judge.
    """

    batch: Batch
    setting: Setting
    seed: int
    kept: Kept
    advance: Advance
    judged_by: str = ""

    async def run(self, entrants: Sequence[Entrant], judges: Sequence[Judge]) -> list[Outcome]:
        """Raises JudgeFailed and NoProfiles; what was finished before is kept."""
        asked = batch_digest(self.batch, self.setting, seed=self.seed)
        outcomes = []
        for entrant in entrants:
            key = part_digest(asked, entrant.name, entrant.identity)
            written = await self._profiles(entrant, key)
            missing = len(self.batch.examples) - len(written)
            for judge in judges:
                part = part_digest(key, judge.name, self.judged_by)
                results = await self._results(entrant, written, judge, part)
                outcomes.append(Outcome(entrant.name, judge.name, tuple(results), missing))
        return outcomes

    async def _profiles(self, entrant: Entrant, key: str) -> dict[str, str]:
        written = self.kept.profiles(key)
        self.advance(len(written))
        free = asyncio.Semaphore(_WRITTEN_AT_ONCE)

        async def write(example: Example) -> None:
            async with free:
                text = await entrant.write(example)
            if text is not None:
                written[example.user_id] = text
                self.kept.add_profile(key, example.user_id, text)
            self.advance(1)

        missing = [e for e in self.batch.examples if e.user_id not in written]
        await asyncio.gather(*map(write, missing))
        if not written:
            raise NoProfiles(
                f"{entrant.name} wrote no profile of any of {len(self.batch.examples)} users."
            )
        return written

    async def _results(
        self, entrant: Entrant, written: dict[str, str], judge: Judge, key: str
    ) -> list[UserResult]:
        results = self.kept.results(key)
        if results is None:
            profiles = {e.user_id: written.get(e.user_id, "") for e in self.batch.examples}
            try:
                results = await score_profiles(
                    self.batch.examples,
                    self.batch.negatives,
                    profiles,
                    judge,
                    orders=self.setting.orders,
                    seed=self.seed,
                )
            except (JudgeFailed, ValueError) as error:
                raise JudgeFailed(
                    f"The judge {judge.name} failed on the profiles of {entrant.name}: {error}"
                ) from error
            self.kept.add_results(key, results)
        self.advance(len(self.batch.examples))
        return results
