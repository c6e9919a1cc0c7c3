"""What `bump lamp` is asked to do: the request, its methods by name, a look at it beforehand."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from service.commands.lamp_reading import Data
from service.commands.lamp_sources import generating, writing
from service.config import Settings
from service.domain.prompts import Message, count_tokens
from service.errors import ConfigurationError
from service.evaluation.lamp.asking import Asking, CountingTokenizer, Room
from service.evaluation.lamp.local_methods import FROM_PROFILES, LEARNED, local_names
from service.evaluation.lamp.methods import (
    LLM,
    STRANGER,
    SUMMARY,
    UNTRAINED,
    WITH_MODEL,
    Method,
    UnknownMethod,
    parse,
)
from service.evaluation.lamp.profiles import Written
from service.evaluation.lamp.prompts import VocabularyTokenizer
from service.evaluation.lamp.ratings import MIN_USERS
from service.evaluation.lamp.reading import Separation, Split
from service.evaluation.lamp.tasks import Sample, Task
from service.runtime import ChatModel, open_chat

LOCAL, MODEL, ALL = "local", "model", "all"


@dataclass(frozen=True, slots=True)
class Request:
    """`output` keeps what is finished, and gets the results.

    `methods`, `profiles`, `judges` are comma lists; `profiles` are written and scored by BUMP even
    where no method shows them. `entry_tokens`: most of a prompt for the question with entries of
    the history. `at_once`: calls under way.
    """

    folder: Path
    output: Path
    task: str | None = None
    split: Split | None = None
    separation: Separation = Separation.USER
    methods: str = LOCAL
    profiles: str = ""
    judges: str = "lexical"
    limit: int | None = None
    seed: int = 0
    at_once: int = 16
    entry_tokens: int = 4_096


@dataclass(frozen=True, slots=True)
class Plan:
    """Rows without a model, rows with one, and everybody who writes profiles for them."""

    local: tuple[str, ...]
    asked: tuple[Method, ...]
    sources: tuple[str, ...]
    judges: tuple[str, ...]


def make_plan(request: Request, data: Data) -> Plan:
    """`local`, `model` and `all` spelt out. Raises ConfigurationError for an unknown method."""
    known = local_names(data.task)
    enough = len(data.samples) >= MIN_USERS
    sets = {
        LOCAL: tuple(name for name in known if enough or name not in LEARNED),
        MODEL: WITH_MODEL,
    }
    sets[ALL] = sets[LOCAL] + sets[MODEL]
    names = list(dict.fromkeys(one for n in _split(request.methods) for one in sets.get(n, (n,))))
    local = tuple(name for name in names if name in known)
    if not enough and set(local) & LEARNED:
        raise ConfigurationError(
            f"{len(data.samples)} samples are too few to learn from: {MIN_USERS} are needed for "
            f"{', '.join(sorted(set(local) & LEARNED))}."
        )
    try:
        asked = tuple(parse(name) for name in names if name not in local)
        also = tuple(parse(name).source or "" for name in _split(request.profiles))
    except UnknownMethod as error:
        raise ConfigurationError(
            f"{error} Without a model {data.task.name} has {', '.join(known)}."
        ) from error
    if not names:
        raise ConfigurationError("There is no method to run: name some with --methods.")
    sources = [FROM_PROFILES[name] for name in local if name in FROM_PROFILES]
    sources += [method.source for method in asked if method.source]
    return Plan(
        local,
        asked,
        tuple(dict.fromkeys(filter(None, (*sources, *also)))),
        tuple(dict.fromkeys(_split(request.judges))),
    )


def written_by(plan: Plan) -> tuple[str, ...]:
    """Who must write; somebody else's profile is one of the untrained generator."""
    return tuple(dict.fromkeys(UNTRAINED if n == STRANGER else n for n in plan.sources))


def asking(task: Task, chat: ChatModel, settings: Settings, request: Request) -> Asking:
    return Asking(
        task,
        VocabularyTokenizer(chat.vocabulary) if chat.vocabulary else CountingTokenizer(chat.count),
        chat.count,
        Room(chat.context, settings.prompt_profile_tokens, request.entry_tokens),
    )


def messages_for(
    put: Asking, method: Method, profiles: Mapping[str, Written], sample: Sample
) -> tuple[Message, ...]:
    """What a model is asked, and taught, about a sample; `profiles` are by sample id."""
    profile = profiles.get(sample.sample_id, Written())
    return put.messages(sample, method, profile.statements)


def described_model(chat: ChatModel, put: Asking) -> dict[str, Any]:
    """All of a model that its prompts and answers depend on, for results."""
    return {
        "name": chat.client.model,
        "sampling": asdict(put.sampling),
        "room": asdict(put.room),
        "tokenizer": "the model's" if chat.vocabulary else "estimated",
    }


def preview(settings: Settings, request: Request, data: Data) -> dict[str, Any]:
    """What a run would do, without a call: its settings checked, calls and tokens by method.

    Prompts are counted without their profiles, which nobody has written yet. Raises
    ConfigurationError for what could not run.
    """
    plan = make_plan(request, data)
    document: dict[str, Any] = {
        "task": data.task.name,
        "samples": len(data.samples),
        "problems": len(data.problems),
        "without_model": list(plan.local),
        "profiles": {name: _writer(name, settings) for name in written_by(plan)},
        "calls": len(plan.asked) * len(data.samples),
    }
    if not plan.asked:
        return document
    chat = open_chat(settings)
    put = asking(data.task, chat, settings, request)
    methods = []
    for method in plan.asked:
        prompts = [put.messages(sample, method, ()) for sample in data.samples]
        tokens = [count_tokens(prompt, chat.count) for prompt in prompts]
        methods.append(
            {
                "method": method.name,
                "prompt_tokens": {"mean": round(fmean(tokens)), "most": max(tokens)},
                "plus_profile_up_to": settings.prompt_profile_tokens if method.source else 0,
                "first_prompt": [message.to_json() for message in prompts[0]],
            }
        )
    answer_tokens = put.sampling.max_tokens
    return {
        **document,
        "model": chat.client.model,
        "answer_tokens": answer_tokens,
        "methods": methods,
    }


def _writer(name: str, settings: Settings) -> str:
    if name == SUMMARY:
        return str(writing(settings).downstream_model)
    if name == LLM or name.startswith(f"{LLM}:"):
        return str(generating(name, settings).generator_model)
    return "no model"


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]
