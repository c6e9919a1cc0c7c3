"""`bump train llm`: histories and a configuration in, an adapter with its card out."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from service.bump.batch import BatchTooSmall, Example
from service.bump.judge import Judge
from service.commands.histories import read_histories
from service.commands.live_histories import TRAINED_ON, live_histories, project_database
from service.commands.training_libraries import not_installed
from service.config import Settings
from service.db.generators import GeneratorKind, register
from service.errors import ConfigurationError
from service.evaluation.preparation import Batch, Histories, HistoriesTooShort, prepare
from service.runtime import open_judge
from service.trainer.curves import read_curves
from service.trainer.export import Card, user_digests, write_card
from service.trainer.llm_config import LlmConfig, read_config
from service.trainer.rewarding import JudgeUnavailable
from service.trainer.vllm_server import RolloutsFailed

Train = Callable[[LlmConfig, Sequence[Example], Judge, Path], Path | None]

_USERS_OF_A_PROJECT = 10_000
_WEIGHTS = "adapter_model.safetensors"


def train_llm(
    settings: Settings, config_file: Path, histories: Path | None, project: str, folder: Path
) -> Path | None:
    """The folder of the adapter. A run that was killed goes on from its last checkpoint.

    Trains on the file of `histories`, else on users of the live `project`, whose candidate the
    adapter becomes. None where another process of the same run does the finishing. Raises
    ConfigurationError for what cannot be trained like this, and when the judge or the rollout
    server stays away, and InvalidBody for a file that holds no histories.
    """
    folder = folder.absolute()
    config = read_config(config_file)
    trainer = _trainer()
    found = (
        read_histories(histories).histories
        if histories
        else asyncio.run(
            live_histories(
                settings,
                project,
                users=TRAINED_ON,
                min_interactions=config.reward.setting.shortest_history,
                seed=config.training.seed,
            )
        )
    )
    batch = _prepared(found, config)
    judge = open_judge(config.judge.kind, settings, batch.visible_texts())
    try:
        adapter = trainer(config, batch.examples, judge, folder)
    except (JudgeUnavailable, RolloutsFailed) as error:
        raise ConfigurationError(str(error)) from error
    if adapter is None:
        return None
    data = histories.name if histories else f"project {project}"
    digest = write_card(adapter, _WEIGHTS, _card(config, batch, judge, data, folder))
    if histories is None:
        asyncio.run(_register(settings, project, config, adapter, digest))
    return adapter


def _card(config: LlmConfig, batch: Batch, judge: Judge, data: str, folder: Path) -> Card:
    rows = read_curves(folder)
    return Card(
        name=f"LLM policy on {data}",
        base=config.policy.model,
        data=data,
        users=user_digests(example.user_id for example in batch.examples),
        seed=config.training.seed,
        judge=judge.name,
        curve=tuple((row["step"], row["reward"]) for row in rows if "reward" in row),
        settings=config.model_dump(mode="json"),
        skipped=dict(batch.skipped),
    )


async def _register(
    settings: Settings, project: str, config: LlmConfig, adapter: Path, digest: str
) -> None:
    """The adapter as a candidate of the project; it serves once the gate has let it through."""
    async with project_database(settings) as database, database.transaction(project) as tx:
        await register(
            tx,
            name=f"llm-{digest[:12]}",
            kind=GeneratorKind.LLM,
            base_model=config.policy.model,
            artifact_uri=adapter.as_uri(),
            sha256=digest,
            metrics={"judge": config.judge.kind, "steps": config.training.steps},
        )


def _trainer() -> Train:
    """`service.trainer.grpo.train`. Raises ConfigurationError where its libraries are missing."""
    try:
        from service.trainer.grpo import train
    except ImportError as error:
        raise not_installed(error) from error
    return train


def _prepared(histories: Histories, config: LlmConfig) -> Batch:
    """The users that are trained on; the others are for the gate, which takes nobody seen here."""
    share = config.training.users_share
    taken = {user: history for user, history in histories.items() if _draw(user) < share}
    try:
        return prepare(taken, config.reward.setting, seed=config.training.seed)
    except (HistoriesTooShort, BatchTooSmall) as error:
        raise ConfigurationError(str(error)) from error


def _draw(user_id: str) -> float:
    """A number from 0 to 1 that is always the same for a user, whatever the run."""
    return int.from_bytes(hashlib.blake2b(user_id.encode(), digest_size=4).digest()) / 2**32
