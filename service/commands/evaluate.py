"""`bump evaluate`: how good profiles are, without a label: every generator under every judge."""

import random
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from service import __version__
from service.bump.setting import Setting
from service.commands.comparison import FILE, GENERATORS, POLICY, compare_generators
from service.commands.histories import read_histories
from service.commands.live_histories import live_histories
from service.config import Settings
from service.errors import ConfigurationError
from service.evaluation.preparation import Histories
from service.evaluation.resuming import code_digest

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
    compare = partial(
        compare_generators,
        await _histories(settings, request),
        _named(request.generators),
        list(dict.fromkeys(_split(request.judges))),
        settings=settings,
        seed=request.seed,
        resume=request.resume,
    )
    parts = [await compare(setting=request.setting)]
    if request.also_ungapped:
        parts.append(await compare(setting=replace(request.setting, gap=0, time_matched=False)))
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
    found = await live_histories(
        settings,
        request.project,
        users=request.users or _USERS_OF_A_PROJECT,
        min_interactions=request.setting.shortest_history,
        seed=request.seed,
    )
    return {**sets, f"project {request.project}": found}


def _named(generators: str) -> list[str]:
    """The comma list, each once, `all` spelt out. Raises ConfigurationError for an unknown name."""
    asked = [each for n in _split(generators) for each in (GENERATORS if n == "all" else (n,))]
    known = (*GENERATORS, "llm")
    unknown = [name for name in asked if name not in known and not name.startswith((FILE, POLICY))]
    if unknown or not asked:
        raise ConfigurationError(
            f"There is no generator {unknown[0] if unknown else ''!r}: take all, {FILE}PATH, "
            f"{POLICY}PATH, or some of {', '.join(known)}."
        )
    return list(dict.fromkeys(asked))


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _sampled(histories: Histories, request: Request) -> Histories:
    if request.users is None or request.users >= len(histories):
        return histories
    chosen = random.Random(request.seed).sample(sorted(histories), request.users)
    return {user_id: histories[user_id] for user_id in chosen}
