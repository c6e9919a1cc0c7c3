"""The life of a generator, from its training to everybody and back, on a project of the test's own.

Every step is one that an operator takes or a worker takes by itself. Only the drop in quality is
made: from some moment on, the candidate's profiles say nothing, as when its server breaks.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from shutil import copy
from typing import Any

import httpx2
import pytest

from service.bump.deployment import Stage
from service.bump.setting import Setting
from service.commands import generators
from service.commands.importing import import_file
from service.commands.train_extractive import Request, train_extractive
from service.config import Settings
from service.db import deployments
from service.db.generators import RegisteredGenerator, is_retired
from service.domain.interaction import Interaction
from service.domain.profile import Draft, Profile, Statement, StatementKind, statement_id
from service.flows.evaluate_candidate import GateRequest
from service.flows.promote import Step
from service.flows.watch_deployment import DeploymentWatch
from service.generators.artifact_store import Card
from service.generators.extractive.artifact import write_policy
from service.generators.extractive.weights import weights_of
from service.generators.generator import Generator
from service.generators.population import Population
from service.runtime import GeneratorLoader, Runtime, open_gate, open_generator
from service.trainer.extractive import Training
from service.worker import Worker
from tests.conftest import make_worker, working
from tests.faults.processes import eventually

pytestmark = pytest.mark.slow

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
USERS = [f"user-{number:03}" for number in range(280)]
ACTIVE = USERS[:50]
# So small a budget leaves a generator something to choose.
PROFILE_TOKENS = 32
TOPICS = [
    *("sourdough bread", "night trains", "chess endgames", "tomato plants", "jazz records"),
    *("rock climbing", "bee hives", "oil painting", "sea kayaks", "crossword puzzles"),
    *("steam engines", "orchid pots", "archery bows", "telescope mirrors", "knitting wool"),
    *("vintage cameras", "violin strings", "mountain huts", "goat cheese", "paper folding"),
    *("model ships", "desert plants", "folk dances", "pottery kilns", "trail running"),
    *("radio antennas", "opera tickets", "fly fishing", "street food", "garden ponds"),
]
SAYINGS = (
    "Slept badly, the bus was late and the office was loud, but the evening went to {topic}.",
    "It rained all day, so after the shopping and a long call I sat down with {topic} at last.",
    "My cousin came by, we cooked and talked about work, and then I showed them my {topic}.",
    "Too many meetings and a headache; somebody lent me a book on {topic}, which helped.",
)


def lines(user_id: str, numbers: Sequence[int]) -> list[dict[str, Any]]:
    """A day each, with one of the user's five topics in it."""
    own = Random(user_id).sample(TOPICS, 5)
    return [
        {
            "user_id": user_id,
            "event_id": f"e{number:03}",
            "occurred_at": (START + timedelta(hours=number)).isoformat(),
            "text": f"{SAYINGS[number % 4].format(topic=own[number % 5])} ({number})",
        }
        for number in numbers
    ]


class Broken:
    """In the place of a generator: it answers, and says the same of everybody."""

    def __init__(self, generator: Generator) -> None:
        self.name = generator.name

    async def write(
        self,
        history: Sequence[Interaction],
        population: Population,
        previous: Profile | None = None,
    ) -> Draft:
        text = "Writes messages."
        kind = StatementKind.STYLE
        statement = Statement(statement_id(kind, text), kind, text, (history[-1].key,))
        return Draft((statement,), self.name)


@dataclass
class BreakableLoader:
    """The real loader, whose generators may break while they serve."""

    loader: GeneratorLoader
    broken: set[str] = field(default_factory=set)

    async def load(self, registered: RegisteredGenerator) -> Generator:
        found = await self.loader.load(registered)
        return _Breakable(found, self.broken)

    async def card(self, registered: RegisteredGenerator) -> Card | None:
        return await self.loader.card(registered)


class _Breakable:
    def __init__(self, generator: Generator, broken: set[str]) -> None:
        self.name = generator.name
        self._generator, self._broken = generator, broken

    async def write(
        self,
        history: Sequence[Interaction],
        population: Population,
        previous: Profile | None = None,
    ) -> Draft:
        writer = Broken(self._generator) if self.name in self._broken else self._generator
        return await writer.write(history, population, previous)


@dataclass
class Project:
    """The test's project with what its operator has at hand."""

    runtime: Runtime
    settings: Settings
    client: httpx2.AsyncClient
    project_id: str
    folder: Path
    loader: BreakableLoader
    new_worker: Callable[[], Worker]
    events: int = 0

    def __post_init__(self) -> None:
        self.worker = self.new_worker()

    async def happen(self, users: Sequence[str], count: int) -> None:
        """So many more events of each user, by a file; a worker writes the profiles."""
        numbers = range(self.events, self.events + count)
        self.events += count
        file = self.folder / f"events-{numbers.start}.jsonl"
        file.write_text("\n".join(json.dumps(e) for user in users for e in lines(user, numbers)))
        state = self.folder / "imports"
        report = await import_file(
            self.settings, str(file), self.project_id, state, from_start=True
        )
        assert report.accepted == len(users) * count
        while await self.worker.run_once():
            continue

    async def versions(self, user_id: str) -> list[dict[str, Any]]:
        """Oldest first."""
        response = await self.client.get(f"/v1/users/{user_id}/profile/versions")
        return list(reversed(response.json()["versions"]))

    async def serving(self) -> Counter[str]:
        """How many of the active users each generator serves."""
        profiles = [await self.client.get(f"/v1/users/{user}/profile") for user in ACTIVE]
        return Counter(profile.json()["generator"] for profile in profiles)

    async def show(self, name: str) -> dict[str, Any]:
        return await generators.show_generator(self.settings, self.project_id, name)

    async def evaluate(self, name: str) -> generators.Evaluation:
        request = GateRequest(name, "cli:ana", users=120)
        return await generators.evaluate(self.settings, self.project_id, request)

    async def promote(self, name: str, stage: Stage) -> None:
        step = Step("cli:ana", stage, share=1.0)
        await generators.promote_candidate(self.settings, self.project_id, name, step)


@pytest.fixture
def project_id() -> str:
    """Always the same: by its name and theirs, users are trained on or kept for the gate."""
    return "life-of-a-generator"


@pytest.fixture
async def project(
    runtime: Runtime,
    settings: Settings,
    client: httpx2.AsyncClient,
    project_id: str,
    tmp_path: Path,
) -> AsyncIterator[Project]:
    known = settings.model_copy(
        update={"artifact_store": tmp_path / "store", "profile_tokens": PROFILE_TOKENS}
    )
    inner = GeneratorLoader(known)
    loader = BreakableLoader(inner)
    generator = open_generator(known)
    gate = open_gate(runtime, generator)
    watch = DeploymentWatch(runtime.database, runtime.cache, gate, known.judge)
    new_worker = partial(
        make_worker, runtime, generator, loader=loader, watch=watch, deployment_check=0.2
    )
    yield Project(runtime, known, client, project_id, tmp_path, loader, new_worker)
    await inner.close()


def train(project: Project) -> Path:
    request = Request(
        files=(),
        project=project.project_id,
        judge="lexical",
        seed=7,
        setting=Setting(),
        training=Training(steps=2, users=16, rollouts=4, max_tokens=PROFILE_TOKENS),
        windows=1,
    )
    return train_extractive(project.settings, request, project.folder / "run")


def spoil(policy: Path, folder: Path) -> Path:
    """A policy of the same training that quotes whatever a day began with."""
    write_policy(folder, weights_of({"is quote": 9, "tokens": 3, "overlap": 9, "gain": -9}))
    copy(policy / "card.json", folder / "card.json")
    return folder


async def rolled_back(project: Project, name: str) -> None:
    """Runs a worker as it runs for an operator, until it has taken the candidate back."""

    async def done() -> bool:
        async with project.runtime.database.transaction(project.project_id) as tx:
            return await is_retired(tx, name) and await deployments.find(tx) is None

    # One of its own: a worker that was told to stop takes nothing on any more.
    async with working(project.new_worker()):
        await eventually(done, 120)
    while await project.worker.run_once():
        continue


async def test_from_training_to_everybody_and_back(project: Project) -> None:
    await project.happen(USERS, 18)
    assert await project.serving() == {"extractive": len(ACTIVE)}

    policy = await asyncio.to_thread(train, project)
    (trained,) = await generators.list_generators(project.settings, project.project_id)
    worse = await generators.register(
        project.settings, project.project_id, spoil(policy, project.folder / "w"), None, "worse"
    )

    refusal = await project.evaluate(worse.name)
    against = refusal.document["evidence"]["against_serving"]
    assert not refusal.passed
    assert refusal.document["evidence"]["users"] >= 100
    assert refusal.document["evidence"]["judge"] == "embedding"
    assert against["lower_bound"] <= against["mean"] < -0.1

    assert (await project.evaluate(trained.name)).passed

    await project.promote(trained.name, Stage.SHADOW)
    for _ in range(2):
        await project.happen(ACTIVE, 8)
    assert await project.serving() == {"extractive": len(ACTIVE)}
    trend = (await project.show(trained.name))["trend"]
    assert trend["pairs"] >= len(ACTIVE) * 0.9
    assert trend["worse"] > 0.05

    await project.promote(trained.name, Stage.FULL)
    await project.happen(ACTIVE, 8)
    assert await project.serving() == {trained.name: len(ACTIVE)}

    project.loader.broken.add(trained.name)
    for _ in range(3):
        await project.happen(ACTIVE, 8)
    await rolled_back(project, trained.name)
    assert await project.serving() == {"extractive": len(ACTIVE)}

    report = await project.show(trained.name)
    assert [decision["decision"] for decision in report["decisions"]] == [
        *("passed", "moved", "moved", "rolled_back")
    ]
    last = report["decisions"][-1]
    assert last["actor"] == "worker"
    assert last["evidence"]["mean"] < -0.05 and last["evidence"]["worse"] <= 0.05

    for user in ACTIVE:
        told = [(v["generator"], v["status"], v["origin"]) for v in await project.versions(user)]
        a, b = "extractive", trained.name
        assert told[0] == (a, "superseded", "generated")
        assert (b, "shadow", "generated") in told
        assert (b, "superseded", "generated") in told
        assert (b, "quarantined", "generated") in told
        assert (a, "rolled_back") in {(generator, origin) for generator, _, origin in told}
        assert [status for _, status, _ in told].count("serving") == 1
