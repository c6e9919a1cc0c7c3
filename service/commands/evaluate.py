"""`bump evaluate`: how good profiles are, without a label: every generator under every judge."""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from service import __version__
from service.bump.batch import BatchTooSmall
from service.bump.judge import Judge
from service.bump.setting import Setting
from service.commands.histories import read_histories
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
from service.evaluation.preparation import Batch, Histories, HistoriesTooShort, prepare
from service.evaluation.report import chances, pooled, rows
from service.evaluation.resuming import Kept, code_digest
from service.evaluation.scoring import Advance, Evaluation, JudgeFailed, NoProfiles, Outcome
from service.generators.extractive import ExtractiveGenerator
from service.judges.lexical import LexicalJudge
from service.runtime import open_generator

GENERATORS = (*BASELINES, "extractive")
JUDGES = ("lexical",)
_FILE = "file:"


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be compared on what. `generators` and `judges` are comma lists.

    `users`: at most so many of each set of histories, drawn by the seed.
    """

    histories: tuple[Path, ...]
    generators: str
    judges: str
    setting: Setting
    seed: int
    users: int | None = None
    also_ungapped: bool = False
    resume: Path | None = None


async def evaluate(settings: Settings, request: Request) -> dict[str, Any]:
    """The document that `--json` prints.

    Raises ConfigurationError for what cannot be evaluated like this, and InvalidBody for a file
    that holds no histories.
    """
    generators = _listed(request.generators, GENERATORS, "generator", ("llm", _FILE + "PATH"))
    judges = _listed(request.judges, JUDGES, "judge", ())
    sets = {
        str(path): _sampled(read_histories(path).histories, request) for path in request.histories
    }
    document = {
        **await _under(request.setting, settings, request, sets, generators, judges),
        "seed": request.seed,
        "versions": {"bump": __version__, "code": code_digest()},
    }
    if request.also_ungapped:
        ungapped = replace(request.setting, gap=0, time_matched=False)
        document["ungapped"] = await _under(ungapped, settings, request, sets, generators, judges)
    return document


async def _under(
    setting: Setting,
    settings: Settings,
    request: Request,
    sets: Mapping[str, Histories],
    generators: Sequence[str],
    judges: Sequence[str],
) -> dict[str, Any]:
    try:
        batches = {name: _prepared(name, sets[name], setting, request.seed) for name in sets}
        outcomes = {}
        with _progress(batches.values(), len(generators) * (1 + len(judges))) as advance:
            for name, batch in batches.items():
                evaluation = Evaluation(batch, setting, request.seed, Kept(request.resume), advance)
                outcomes[name] = await evaluation.run(
                    _entrants(generators, batch, settings, request.seed),
                    [_open_judge(judge, batch) for judge in judges],
                )
    except (JudgeFailed, NoProfiles, UnreadableProfiles) as error:
        raise ConfigurationError(str(error)) from error
    return _document(setting, batches, outcomes, request.seed)


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


def _listed(names: str, known: Sequence[str], what: str, also: Sequence[str]) -> list[str]:
    """The comma list `names`, each once, `all` spelt out. Raises ConfigurationError."""
    asked = [name.strip() for name in names.split(",") if name.strip()]
    spelt = [each for name in asked for each in (known if name == "all" else (name,))]
    for name in spelt:
        if name not in known and name not in also and not (also and name.startswith(_FILE)):
            raise ConfigurationError(
                f"Unknown {what} {name!r}: use all, {', '.join((*known, *also))}."
            )
    if not spelt:
        raise ConfigurationError(f"Name at least one {what}: all, {', '.join((*known, *also))}.")
    return list(dict.fromkeys(spelt))


def _sampled(histories: Histories, request: Request) -> Histories:
    if request.users is None or request.users >= len(histories):
        return histories
    chosen = random.Random(request.seed).sample(sorted(histories), request.users)
    return {user_id: histories[user_id] for user_id in chosen}


def _prepared(name: str, histories: Histories, setting: Setting, seed: int) -> Batch:
    try:
        return prepare(histories, setting, seed=seed)
    except (HistoriesTooShort, BatchTooSmall) as error:
        raise ConfigurationError(f"{name}: {error}") from error


def _entrants(names: Sequence[str], batch: Batch, settings: Settings, seed: int) -> list[Entrant]:
    baselines = baseline_entrants(set(names) & set(BASELINES), batch, seed=seed)
    known = {entrant.name: entrant for entrant in baselines}
    return [known.get(name) or _entrant(name, batch, settings) for name in names]


def _entrant(name: str, batch: Batch, settings: Settings) -> Entrant:
    if name.startswith(_FILE):
        return file_entrant(Path(name.removeprefix(_FILE)))
    if name == "llm":
        llm = open_generator(settings.model_copy(update={"generator": "llm"}))
        identity = f"{settings.generator_url} {settings.generator_history_tokens}"
        return generator_entrant(llm.name, llm, batch.population, identity=identity)
    extractive = ExtractiveGenerator(settings.profile_tokens)
    identity = f"untrained, {settings.profile_tokens} tokens"
    return generator_entrant(name, extractive, batch.population, identity=identity)


def _open_judge(name: str, batch: Batch) -> Judge:
    return LexicalJudge(batch.visible_texts())


@contextmanager
def _progress(batches: Iterable[Batch], parts: int) -> Iterator[Advance]:
    """Counts users on standard error, where a person is looking."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn())
    with Progress(
        *columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal
    ) as progress:
        total = sum(len(batch.examples) for batch in batches) * parts
        task = progress.add_task("Evaluating", total=total)
        yield lambda users: progress.advance(task, users)
