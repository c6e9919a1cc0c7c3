"""Generators side by side under judges, over sets of histories: what every report is made of."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from service.bump.batch import BatchTooSmall
from service.bump.judge import Judge, JudgeFailed
from service.bump.setting import Setting
from service.commands.progress import counted
from service.config import Settings
from service.errors import ConfigurationError
from service.evaluation.baselines import BASELINES
from service.evaluation.entrants import (
    Entrant,
    UnreadableProfiles,
    baseline_entrants,
    file_entrant,
    generator_entrant,
)
from service.evaluation.preparation import Batch, Embed, Histories, HistoriesTooShort, prepare
from service.evaluation.report import chances, pooled, rows
from service.evaluation.resuming import Kept
from service.evaluation.scoring import Evaluation, NoProfiles, Outcome
from service.generators.extractive import ExtractiveGenerator
from service.generators.extractive.artifact import SHIPPED, read_policy
from service.judges.encoder import load_encoder
from service.runtime import open_judge, open_llm_generator

TRAINED = "extractive-trained"
GENERATORS = (*BASELINES, "extractive", TRAINED)
FILE, POLICY = "file:", "policy:"


async def compare_generators(
    sets: Mapping[str, Histories],
    generators: Sequence[str],
    judges: Sequence[str],
    *,
    setting: Setting,
    settings: Settings,
    seed: int,
    resume: Path | None = None,
) -> dict[str, Any]:
    """Rows over the users of all `sets`, and of each alone where there are several.

    `generators` are of `GENERATORS`, "llm" (the endpoint that `settings` name), "file:PATH"
    (profiles) or "policy:PATH" (a trained extractive policy).
    `resume` keeps what is finished. Raises ConfigurationError for a set that is too small, a judge
    that fails and a generator that writes nothing.
    """
    embed = load_encoder().embed if setting.hard else None
    try:
        batches = {name: _prepared(name, sets[name], setting, seed, embed) for name in sets}
        outcomes = {}
        users = sum(len(batch.examples) for batch in batches.values())
        with counted("Evaluating", users * len(generators) * (1 + len(judges))) as advance:
            for name, batch in batches.items():
                evaluation = Evaluation(
                    batch, setting, seed, Kept(resume), advance, judged_by=str(settings.judge_model)
                )
                async with AsyncExitStack() as stack:
                    outcomes[name] = await evaluation.run(
                        _entrants(generators, batch, settings, seed, stack),
                        _judges(judges, batch, settings, stack),
                    )
    except (JudgeFailed, NoProfiles, UnreadableProfiles) as error:
        raise ConfigurationError(str(error)) from error
    return _document(setting, batches, outcomes, seed)


def _document(
    setting: Setting,
    batches: Mapping[str, Batch],
    outcomes: Mapping[str, list[Outcome]],
    seed: int,
) -> dict[str, Any]:
    every = [outcome for found in outcomes.values() for outcome in found]
    document: dict[str, Any] = {
        "rows": rows(pooled(every), seed=seed),
        "chance": chances(setting),
        "setting": asdict(setting),
        "sets": [
            {"histories": name, "users": len(batch.examples), "skipped": dict(batch.skipped)}
            for name, batch in batches.items()
        ],
    }
    if len(batches) > 1:
        for part in document["sets"]:
            part["rows"] = rows(outcomes[part["histories"]], seed=seed)
    return document


def _prepared(
    name: str, histories: Histories, setting: Setting, seed: int, embed: Embed | None
) -> Batch:
    try:
        return prepare(histories, setting, seed=seed, embed=embed)
    except (HistoriesTooShort, BatchTooSmall) as error:
        raise ConfigurationError(f"{name}: {error}") from error


def _judges(
    names: Sequence[str], batch: Batch, settings: Settings, stack: AsyncExitStack
) -> list[Judge]:
    """They are closed with the `stack`."""
    judges = []
    for name in names:
        judges.append(open_judge(name, settings, batch.visible_texts()))
        stack.push_async_callback(judges[-1].close)
    return judges


def _entrants(
    names: Sequence[str], batch: Batch, settings: Settings, seed: int, stack: AsyncExitStack
) -> list[Entrant]:
    """They are closed with the `stack`."""
    baselines = baseline_entrants(set(names) & set(BASELINES), batch, seed=seed)
    known = {entrant.name: entrant for entrant in baselines}
    return [known.get(name) or _entrant(name, batch, settings, stack) for name in names]


def _entrant(name: str, batch: Batch, settings: Settings, stack: AsyncExitStack) -> Entrant:
    if name.startswith(FILE):
        return file_entrant(Path(name.removeprefix(FILE)))
    if name == "llm":
        llm = open_llm_generator(settings)
        stack.push_async_callback(llm.close)
        identity = f"{settings.generator_url} {settings.generator_history_tokens}"
        return generator_entrant(llm.name, llm, batch.population, identity=identity)
    tokens = settings.profile_tokens
    if name == "extractive":
        extractive, identity = ExtractiveGenerator(tokens), f"untrained, {tokens} tokens"
    else:
        policy = read_policy(_artifact(name, settings))
        extractive = ExtractiveGenerator(tokens, weights=policy.weights, name=name)
        identity = f"{policy.sha256}, {tokens} tokens"
    return generator_entrant(name, extractive, batch.population, identity=identity)


def _artifact(name: str, settings: Settings) -> Path:
    if name.startswith(POLICY):
        return Path(name.removeprefix(POLICY))
    return settings.generator_artifact or SHIPPED
