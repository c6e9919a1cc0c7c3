"""`bump train extractive`: histories in, a policy with its card out."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from service.bump.batch import BatchTooSmall
from service.bump.judge import JudgeFailed
from service.bump.setting import Setting
from service.commands.histories import read_histories
from service.commands.live_histories import TRAINED_ON, live_histories, project_database
from service.config import Settings
from service.db.generators import GeneratorKind, register
from service.domain.interaction import history_order
from service.errors import ConfigurationError
from service.evaluation.partition import Part, part_of
from service.evaluation.preparation import Batch, Histories, HistoriesTooShort, prepare
from service.generators.extractive.artifact import WEIGHTS_FILE, write_policy
from service.generators.extractive.weights import STARTS
from service.judges.encoder import load_encoder
from service.runtime import open_judge
from service.trainer import checkpoint
from service.trainer.curves import Curves, read_curves
from service.trainer.export import Card, user_digests, write_card
from service.trainer.extractive import Ascent, ExtractiveTrainer, Project, Training, pools_of
from service.trainer.rewarding import JudgeUnavailable


@dataclass(frozen=True, slots=True)
class Request:
    """`files`: histories by file, each a project of its own; without one, the live `project`.

    `windows`: how many times each history is cut, every time earlier.
    """

    files: Sequence[Path]
    project: str
    judge: str
    seed: int
    setting: Setting
    training: Training
    windows: int = 2


def train_extractive(settings: Settings, request: Request, folder: Path) -> Path:
    """The folder of the policy. A run that was killed goes on from its last checkpoint.

    Raises ConfigurationError for what cannot be trained on, for a judge that stays away and for a
    `folder` of another run, and InvalidBody for a file that holds no histories.
    """
    return asyncio.run(_train(settings, request, folder.absolute()))


async def _train(settings: Settings, request: Request, folder: Path) -> Path:
    named = await _histories(settings, request)
    async with AsyncExitStack() as stack:
        projects = [
            await _project(name, batch, settings, request, stack)
            for name, histories in named.items()
            for batch in await asyncio.to_thread(_batches, name, histories, request)
        ]
        for purpose, users in (
            ("validate", [user for project in projects for user in project.validation]),
            ("train", [user for project in projects for user in project.trained_on]),
        ):
            if not users:
                raise ConfigurationError(f"No user is left to {purpose} on: bring more users.")
        run = _digest(projects, request)
        trainer = ExtractiveTrainer(projects, request.training, seed=request.seed)
        try:
            progress = checkpoint.load(folder, run) or await trainer.begin(STARTS)
            await _run(trainer, progress, request.training.steps, folder, run)
        except (JudgeFailed, JudgeUnavailable) as error:
            raise ConfigurationError(str(error)) from error
    policy = folder / "policy"
    digest = write_policy(policy, progress.best)
    write_card(policy, WEIGHTS_FILE, _card(projects, request, progress, folder))
    if not request.files:
        await _register(settings, request, policy, digest, progress)
    return policy


async def _histories(settings: Settings, request: Request) -> dict[str, Histories]:
    if request.files:
        names = [path.name.removesuffix(".gz").removesuffix(".jsonl") for path in request.files]
        if len(set(names)) < len(names):
            raise ConfigurationError("Two files of histories have the same name: rename one.")
        return {
            name: read_histories(path).histories
            for name, path in zip(names, request.files, strict=True)
        }
    found = await live_histories(
        settings,
        request.project,
        users=TRAINED_ON,
        min_interactions=request.setting.shortest_history,
        seed=request.seed,
    )
    return {request.project: found}


def _batches(name: str, histories: Histories, request: Request) -> list[Batch]:
    """The histories as they are, and as they were before what each window holds out.

    What a user did next is known for every moment of a history, and users are fewer than weights
    can learn by heart. Earlier windows count where there is enough in them.
    """
    # The others are for evaluation and the gate, which take nobody that a training saw.
    taken = {
        user: sorted(history, key=history_order)
        for user, history in histories.items()
        if part_of(name, user) is not Part.EVALUATION
    }
    setting, seed = request.setting, request.seed
    embed = load_encoder().embed if setting.hard else None
    found: list[Batch] = []
    for window in range(request.windows):
        cut = window * (setting.held_out + setting.gap)
        earlier = {user: history[: max(0, len(history) - cut)] for user, history in taken.items()}
        try:
            found.append(prepare(earlier, setting, seed=seed, embed=embed))
        except (HistoriesTooShort, BatchTooSmall) as error:
            if not found:
                raise ConfigurationError(f"{name}: {error}") from error
    return found


async def _project(
    name: str, batch: Batch, settings: Settings, request: Request, stack: AsyncExitStack
) -> Project:
    judge = open_judge(request.judge, settings, batch.visible_texts())
    stack.push_async_callback(judge.close)
    users = (example.user_id for example in batch.examples)
    validation = frozenset(user for user in users if part_of(name, user) is Part.VALIDATION)
    return Project(name, batch, validation, judge, await asyncio.to_thread(pools_of, batch))


async def _run(
    trainer: ExtractiveTrainer, progress: Ascent, steps: int, folder: Path, run: str
) -> None:
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with (
        Curves(folder, after=progress.step) as curves,
        Progress(*columns, console=console, disable=not console.is_terminal) as bar,
    ):
        task = bar.add_task("Training", total=steps, completed=progress.step)
        async for row in trainer.run(progress):
            curves.log(progress.step, row)
            if "validation" in row:
                checkpoint.save(folder, progress, run)
                description = f"Training, reward of validation users {row['validation']:.3f}"
                bar.update(task, description=description)
            bar.update(task, completed=progress.step)


def _digest(projects: Sequence[Project], request: Request) -> str:
    """Names what a run depends on, so that it never goes on with something else."""
    told = hashlib.blake2b(
        repr((request.judge, request.seed, request.setting, request.training)).encode()
    )
    for project in projects:
        told.update(repr((project.name, sorted(project.validation))).encode())
        for example in project.batch.examples:
            told.update(repr((example.user_id, len(example.visible))).encode())
    return told.hexdigest()[:32]


def _card(projects: Sequence[Project], request: Request, progress: Ascent, folder: Path) -> Card:
    rows = read_curves(folder)
    skipped: dict[str, int] = {}
    for project in projects:
        for reason, users in project.batch.skipped.items():
            skipped[reason] = skipped.get(reason, 0) + users
    return Card(
        name="Extractive policy",
        base="candidates of the extractive generator",
        data=", ".join(dict.fromkeys(project.name for project in projects)),
        users=user_digests(
            {f"{p.name}\x1f{example.user_id}" for p in projects for example in p.batch.examples}
        ),
        seed=request.seed,
        judge=request.judge,
        curve=(
            (0, progress.start_reward),
            *((row["step"], row["validation"]) for row in rows if "validation" in row),
        ),
        settings={
            "setting": asdict(request.setting),
            "training": asdict(request.training),
            "kept_step": progress.best_step,
            "kept_reward": progress.best_reward,
        },
        skipped=skipped,
    )


async def _register(
    settings: Settings,
    request: Request,
    policy: Path,
    digest: str,
    progress: Ascent,
) -> None:
    """The policy as a candidate of the project; it serves once the gate has let it through."""
    metrics: Mapping[str, object] = {
        "judge": request.judge,
        "steps": progress.step,
        "validation": progress.best_reward,
        "validation_at_start": progress.start_reward,
    }
    async with project_database(settings) as database, database.transaction(request.project) as tx:
        await register(
            tx,
            name=f"extractive-{digest[:12]}",
            kind=GeneratorKind.EXTRACTIVE,
            base_model=None,
            artifact_uri=policy.as_uri(),
            sha256=digest,
            metrics=metrics,
        )
