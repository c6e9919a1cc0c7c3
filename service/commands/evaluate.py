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
from service.bump.setting import Setting
from service.commands.histories import read_histories
from service.config import Settings
from service.db.session import open_database
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
from service.evaluation.resuming import Kept, code_digest
from service.evaluation.scoring import Advance, Evaluation, JudgeFailed, NoProfiles, Outcome
from service.flows.sample_histories import sample_histories
from service.generators.extractive import ExtractiveGenerator
from service.judges.encoder import load_encoder
from service.runtime import open_generator, open_judge
from service.telemetry import configure_logging

GENERATORS = (*BASELINES, "extractive")
_FILE = "file:"
_USERS_OF_A_PROJECT = 1_000


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be compared on what: files of `histories`, users of a live `project`, or both.

    `generators` and `judges` are comma lists. `users`: at most so many of each set, drawn by the
    seed; of a project 1,000 where it is not said.
    """

    histories: tuple[Path, ...]
    project: str | None
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
    # What a generator warns of is counted in the rows.
    configure_logging("error", "evaluate")
    generators = _named(request.generators)
    sets = await _histories(settings, request)
    parts = [await _under(request.setting, settings, request, sets, generators)]
    if request.also_ungapped:
        ungapped = replace(request.setting, gap=0, time_matched=False)
        parts.append(await _under(ungapped, settings, request, sets, generators))
    document = {
        **parts[0],
        "seed": request.seed,
        "versions": {"bump": __version__, "code": code_digest()},
    }
    return document if len(parts) == 1 else {**document, "ungapped": parts[1]}


async def _histories(settings: Settings, request: Request) -> dict[str, Histories]:
    sets: dict[str, Histories] = {
        str(path): _sampled(read_histories(path).histories, request) for path in request.histories
    }
    if request.project is None:
        return sets
    if settings.database_url is None:
        raise ConfigurationError("Set BUMP_DATABASE_URL, or start `bump up` first.")
    database = open_database(settings.database_url.get_secret_value(), pool_size=1)
    setting = request.setting
    try:
        found = await sample_histories(
            database,
            request.project,
            count=request.users or _USERS_OF_A_PROJECT,
            min_interactions=setting.min_visible + setting.gap + setting.held_out,
            history_limit=settings.history_limit,
            seed=request.seed,
        )
    finally:
        await database.close()
    if not found:
        raise ConfigurationError(
            f"Project {request.project} has no user with enough interactions: hold out less, or "
            "wait for longer histories."
        )
    return {**sets, f"project {request.project}": found}


async def _under(
    setting: Setting,
    settings: Settings,
    request: Request,
    sets: Mapping[str, Histories],
    generators: Sequence[str],
) -> dict[str, Any]:
    """What came of the generators under every judge in one setting."""
    judges = list(dict.fromkeys(_split(request.judges)))
    embed = load_encoder().embed if setting.hard else None
    try:
        batches = {name: _prepared(name, sets[name], setting, request.seed, embed) for name in sets}
        outcomes = {}
        with _progress(batches.values(), len(generators) * (1 + len(judges))) as advance:
            for name, batch in batches.items():
                evaluation = Evaluation(batch, setting, request.seed, Kept(request.resume), advance)
                outcomes[name] = await evaluation.run(
                    _entrants(generators, batch, settings, request.seed),
                    [open_judge(judge, batch.visible_texts()) for judge in judges],
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


def _named(generators: str) -> list[str]:
    """The comma list, each once, `all` spelt out. Raises ConfigurationError for an unknown name."""
    asked = [each for n in _split(generators) for each in (GENERATORS if n == "all" else (n,))]
    known = (*GENERATORS, "llm")
    unknown = [name for name in asked if name not in known and not name.startswith(_FILE)]
    if unknown or not asked:
        raise ConfigurationError(
            f"There is no generator {unknown[0] if unknown else ''!r}: take all, {_FILE}PATH, or "
            f"some of {', '.join(known)}."
        )
    return list(dict.fromkeys(asked))


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _sampled(histories: Histories, request: Request) -> Histories:
    if request.users is None or request.users >= len(histories):
        return histories
    chosen = random.Random(request.seed).sample(sorted(histories), request.users)
    return {user_id: histories[user_id] for user_id in chosen}


def _prepared(
    name: str, histories: Histories, setting: Setting, seed: int, embed: Embed | None
) -> Batch:
    try:
        return prepare(histories, setting, seed=seed, embed=embed)
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
